/** Evaluations on disk and `--from-trajectories`: files are never pooled, replaced or half-read in silence. One short run of the shipped checkpoint on the CPU. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Trajectory, TrajectoryWriter } from '@axpo/trajectory'
import { Command } from 'commander'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { addEvalCommand } from './command.ts'
import { loadEvaluation, loadEvaluations, saveEvaluation } from './evaluation-file.ts'

const checkpoint = fileURLToPath(new URL('../../train/checkpoints/sft', import.meta.url))

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evaluation-file-'))
})
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = undefined
})

/** What `axpo eval` prints, and its exit code. */
async function axpoEval(...args: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const lines = { out: [] as string[], err: [] as string[] }
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.out.push(line))
  vi.spyOn(console, 'error').mockImplementation((line: string) => void lines.err.push(line))
  const program = new Command('axpo')
  addEvalCommand(program, { checkpoint, progress: () => ({ update: () => {}, end: () => {} }) })
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: (text) => void lines.err.push(text) })
  await program.parseAsync(['eval', ...args], { from: 'user' })
  const code = Number(process.exitCode ?? 0)
  return { out: lines.out.join('\n'), err: lines.err.join('\n'), code }
}

function rollout(questionId: string, sample: number, reward: number, step = 9): Trajectory {
  return {
    id: `1-${step}-${questionId}-${sample}`,
    questionId,
    family: questionId.split('-')[0]!,
    split: 'test',
    step,
    question: 0,
    sample,
    parent: null,
    tokens: Int32Array.of(1, 2),
    logprobs: Float32Array.of(0, -1),
    entropies: Float32Array.of(0, 1),
    trainable: Uint8Array.of(0, 1),
    segments: [
      { kind: 'prompt', start: 0, end: 1, weightVersion: -1 },
      { kind: 'answer', start: 1, end: 2, weightVersion: 1 },
    ],
    images: [],
    answer: '1',
    reward,
    finish: 'answer',
  }
}

const four = (questionId: string, reward: number, step?: number) =>
  [0, 1, 2, 3].map((sample) => rollout(questionId, sample, reward, step))

function save(path: string, meta: object, ...trajectories: readonly Trajectory[]): string {
  mkdirSync(join(path, '..'), { recursive: true })
  saveEvaluation(path, { ...meta }, trajectories, new Map())
  return path
}

/** Label, family, Pass@1 and size of each row; the heading stands above, what the intervals rest on below. */
const rows = (table: string) =>
  table
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(/ {2,}/).filter((_, c, all) => c < 3 || c === all.length - 1))

describe('a run and its files', () => {
  let run: string
  beforeAll(() => {
    run = join(folder, 'run')
    save(join(run, 'evaluations', 'before.msgpack'), { kind: 'evaluation', label: 'before' }, ...four('zoom-1', 0))
    save(join(run, 'evaluations', 'after.msgpack'), { kind: 'evaluation', label: 'after' }, ...four('zoom-1', 1))
    // the same question in two steps: two visits, no repetition
    const training = [...four('zoom-1', 0, 1), ...four('zoom-1', 1, 2)]
    save(join(run, 'trajectories.msgpack'), { kind: 'training' }, ...training)
    writeFileSync(join(run, 'config.json'), '{}')
  })
  const apart = [
    ['after', 'all', '100.0 [100.0, 100.0]', '1 x 4'],
    ['after', 'zoom', '100.0 [100.0, 100.0]', '1 x 4'],
    ['before', 'all', '0.0 [0.0, 0.0]', '1 x 4'],
    ['before', 'zoom', '0.0 [0.0, 0.0]', '1 x 4'],
  ]

  it.each(['evaluations', '.'])('%s: one group of rows a file, nothing pooled', async (path) => {
    const { out, err, code } = await axpoEval('--from-trajectories', join(run, path))
    expect(rows(out)).toEqual(apart)
    expect([err, code]).toEqual(['', 0])
  })
  it('training rollouts are told as what they are', async () => {
    const { out, err, code } = await axpoEval('--from-trajectories', join(run, 'trajectories.msgpack'))
    expect(rows(out)[0]).toEqual(['training rollouts of 2 steps', 'all', '50.0 [50.0, 50.0]', '1 x 8'])
    expect(err).toMatch(
      /^note: .*trajectories\.msgpack: training rollouts of 2 steps.*no evaluation of one checkpoint$/,
    )
    expect(code).toBe(0)
  })
  it('a run without evaluations is not scored by its training', async () => {
    const bare = join(folder, 'bare')
    save(join(bare, 'trajectories.msgpack'), { kind: 'training' }, ...four('zoom-1', 1))
    writeFileSync(join(bare, 'config.json'), '{}')
    await expect(loadEvaluations(bare)).rejects.toThrow(
      /must be a run with evaluations, got one without\. Give .*trajectories/,
    )
  })
  it('a file without a label goes by its name, files of one label by both', async () => {
    const plain = save(join(folder, 'plain.msgpack'), {}, ...four('zoom-1', 1))
    expect((await loadEvaluations(plain)).map((f) => f.label)).toEqual(['plain'])
    for (const name of ['a', 'b'])
      save(join(folder, 'twins', `${name}.msgpack`), { label: 'sft' }, ...four('zoom-1', 1))
    const labels = (await loadEvaluations(join(folder, 'twins'))).map((f) => f.label)
    expect(labels).toEqual(['sft (a.msgpack)', 'sft (b.msgpack)'])
  })
})

it('a sample that stands twice in a file is refused; continuations may share a number', async () => {
  const source = rollout('zoom-1', 0, 0)
  const twice = [source, { ...rollout('zoom-1', 0, 1), id: 'other' }]
  const path = save(join(folder, 'twice.msgpack'), { kind: 'evaluation' }, ...twice)
  await expect(loadEvaluations(path)).rejects.toThrow(/twice\.msgpack must hold .* got sample 0 of zoom-1 twice/)
  const fork = (id: string) => ({ ...rollout('zoom-1', 1000, 1), id, parent: { id: source.id, forkToken: 1 } })
  const forked = save(join(folder, 'forked.msgpack'), { kind: 'evaluation' }, source, fork('x'), fork('y'))
  expect(await loadEvaluation(forked)).toHaveLength(3)
})

describe('a torn file', () => {
  it('its whole records are scored, one line says how many, the exit code is 1', async () => {
    const whole = save(join(folder, 'whole.msgpack'), { label: 'mine' }, ...four('zoom-1', 1), rollout('zoom-2', 0, 0))
    const path = join(folder, 'torn.msgpack')
    writeFileSync(path, readFileSync(whole).subarray(0, statSync(whole).size - 5))
    const { out, err, code } = await axpoEval('--from-trajectories', path)
    expect(rows(out)[0]).toEqual(['mine', 'all', '100.0 [100.0, 100.0]', '1 x 4'])
    const { byte } = (await loadEvaluations(path))[0]!.torn!
    expect(err).toBe(`warning: ${path}: torn record at byte ${byte}: only the 5 whole records before it are scored`)
    expect(code).toBe(1)
    await expect(loadEvaluation(path)).rejects.toThrow(/must be whole, got a torn record at byte \d+ after 5 whole/)
    // cut exactly there, the rest is whole
    writeFileSync(path, readFileSync(path).subarray(0, byte))
    expect(await loadEvaluation(path)).toHaveLength(4)
  })
  it('without a whole trajectory it is an error', async () => {
    const whole = readFileSync(save(join(folder, 'short.msgpack'), {}, rollout('zoom-1', 0, 1)))
    const path = join(folder, 'header.msgpack')
    writeFileSync(path, whole.subarray(0, whole.length - 5))
    const told = await loadEvaluations(path).catch((error: Error) => error.message)
    expect(told).toMatch(/header\.msgpack must hold a whole trajectory, got none before its torn record at byte \d+\./)
    const byte = Number(/at byte (\d+)/.exec(String(told))![1])
    writeFileSync(path, whole.subarray(0, byte))
    await expect(loadEvaluations(path)).rejects.toThrow(/must hold a whole trajectory, got none\. Check/)
  })
})

describe('writing', () => {
  it('an existing file is refused before any rollout, and stays', async () => {
    const path = join(folder, 'mine.txt')
    writeFileSync(path, 'precious')
    await expect(axpoEval('--out', path)).rejects.toThrow(/must name a new file, got .*mine\.txt.* Give another --out/)
    expect(() => saveEvaluation(path, {}, four('zoom-1', 1), new Map())).toThrow(/must name a new file/)
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })
  it('a full disk: nothing is left, and nobody is told to resume a run', () => {
    const path = join(folder, 'full.msgpack')
    vi.spyOn(TrajectoryWriter.prototype, 'trajectory').mockImplementation(() => {
      throw new Error(
        `${path}.part: cannot append (ENOSPC: no space left on device, write). What was written before is whole; free space and resume the run.`,
      )
    })
    const attempt = () => saveEvaluation(path, {}, four('zoom-1', 1), new Map())
    expect(attempt).toThrow(
      /full\.msgpack must be written, got ENOSPC: no space left on device, write\. .* evaluate again\.$/,
    )
    expect(attempt).not.toThrow(/resume/)
    expect([path, `${path}.part`].map(existsSync)).toEqual([false, false])
  })
})

it('the shipped checkpoint: what is read back scores as what was printed', { timeout: 120_000 }, async () => {
  const path = join(folder, 'new', 'sft.msgpack')
  const sizes = ['--split', 'test', '--questions', '3', '--samples', '8']
  const played = await axpoEval('--device', 'cpu', '--threads', '1', ...sizes, '--out', path)
  const printed = played.out.split('\n').filter((line) => /\d x \d/.test(line))
  expect(printed).toHaveLength(4)
  vi.restoreAllMocks()
  const { out } = await axpoEval('--from-trajectories', path)
  const figures = (lines: readonly string[]) => lines.map((line) => line.trim().split(/ {2,}/).slice(1))
  expect(figures(out.split('\n').slice(1, -1))).toEqual(figures(printed))
  expect(out.split('\n')[1]).toContain(checkpoint)
  expect(await loadEvaluation(path)).toHaveLength(24)
})
