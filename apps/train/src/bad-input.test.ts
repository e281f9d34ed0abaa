/** Every kind of bad input, typed at the command line: one clear error on stderr (what, where, how to repair), exit code 1, nothing that was there is touched. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explain } from './explain.ts'
import { RunFolder } from './run-folder.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const shipped = fileURLToPath(new URL('../checkpoints/sft', import.meta.url))
let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-bad-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

interface Ended {
  readonly code: number
  readonly stderr: string
}

function axpo(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, ...args],
      { env: { ...process.env, ...env }, cwd: directory },
      (_error, _stdout, stderr) => resolve({ code: child.exitCode ?? -1, stderr }),
    )
  })
}

/** One line, no stack. */
function expectError({ code, stderr }: Ended, ...parts: readonly (string | RegExp)[]): void {
  expect(code, stderr).toBe(1)
  for (const part of parts) expect(stderr).toMatch(part)
  // of JavaScript; Dawn prints lines of its own
  expect(stderr).not.toMatch(/\n\s+at .*\.m?[jt]s:\d/)
}

describe('flags', { timeout: 30_000 }, () => {
  it.each([
    [['train', '--recipe', 'ppo'], /Choose one of: .*axpo, grpo/],
    [['train', '--steps', '0'], /integer of at least 1/],
    [['train', '--learning-rate', '-1'], /positive number/],
    [['eval', '--easy-share', '1.5'], /from 0 to 1/],
    [['eval', '--split', 'dev'], /Choose one of: train, validation, test/],
    [['eval', '--families', 'zoom,maze'], /Unknown family "maze". Choose from: zoom, python, search/],
    [['suite', 'show', '--family', 'maze'], /Unknown family "maze". Choose from: .*image_search/],
    [['suite', 'show', '--split', 'train', '--family', 'image_search'], /held out and has no train split/],
    [['suite', 'show', '--out', '/dev/null/x'], /\/dev\/null\/x.*is a file.*--out/],
    [['eval', '--device', 'cuda'], /Choose one of: auto, webgpu, cpu/],
    [['eval', '--no-such-flag'], /unknown option '--no-such-flag'/],
    [['frobnicate'], /unknown command 'frobnicate'/],
  ])('%j', async (args, message) => {
    expectError(await axpo(args), message)
  })
})

describe('checkpoints', { timeout: 60_000 }, () => {
  const evaluate = (checkpoint: string) =>
    axpo([
      'eval',
      '--device',
      'cpu',
      '--threads',
      '1',
      '--questions',
      '3',
      '--samples',
      '1',
      '--checkpoint',
      checkpoint,
    ])
  const copy = (name: string): string => {
    cpSync(shipped, join(directory, name), { recursive: true })
    return join(directory, name)
  }

  it('missing', async () => {
    expectError(await evaluate(join(directory, 'nowhere')), /nowhere/, /config.json/, /axpo sft/)
    expectError(await axpo(['train', '--device', 'cpu', '--checkpoint', join(directory, 'nowhere')]), /nowhere/)
  })
  it('truncated', async () => {
    const folder = copy('truncated')
    truncateSync(join(folder, 'model.safetensors'), 100_000)
    expectError(await evaluate(folder), /truncated\/model.safetensors/, /bytes/)
  })
  it('of another shape', async () => {
    const folder = copy('shape')
    const path = join(folder, 'model.safetensors')
    const bytes = readFileSync(path)
    const at = bytes.indexOf('[512,96]', bytes.indexOf('embed_tokens.weight'))
    bytes.write('[96,512]', at)
    writeFileSync(path, bytes)
    expectError(await evaluate(folder), /embed_tokens.weight/, /config.json|shape/)
  })
  it('not a checkpoint at all', async () => {
    const folder = copy('text')
    writeFileSync(join(folder, 'model.safetensors'), 'hello')
    expectError(await evaluate(folder), /text\/model.safetensors/)
  })
})

describe('files of a run', { timeout: 60_000 }, () => {
  it('corrupt, empty or missing trajectories', async () => {
    const path = join(directory, 'broken.msgpack')
    writeFileSync(
      path,
      Uint8Array.from({ length: 100 }, (_, i) => (i * 37) % 251),
    )
    expectError(await axpo(['eval', '--from-trajectories', path]), /broken.msgpack/, /not a trajectory file/)
    writeFileSync(path, '')
    expectError(await axpo(['eval', '--from-trajectories', path]), /empty/)
    expectError(await axpo(['eval', '--from-trajectories', join(directory, 'none')]), /nothing at/)
    const folder = join(directory, 'no-trajectories')
    mkdirSync(folder)
    expectError(await axpo(['eval', '--from-trajectories', folder]), /no .msgpack file/)
  })
  it('resuming what is no run, or a damaged config', async () => {
    expectError(await axpo(['train', '--device', 'cpu', '--resume', directory]), /without config.json/)
    const run = join(directory, 'damaged')
    mkdirSync(run)
    writeFileSync(join(run, 'config.json'), '{"formatVersion": 7}')
    expectError(await axpo(['train', '--device', 'cpu', '--resume', run]), /damaged\/config.json/)
  })
  it('a new run never overwrites an old one', async () => {
    const run = join(directory, 'taken')
    mkdirSync(run)
    writeFileSync(join(run, 'config.json'), '{}')
    expectError(await axpo(['train', '--device', 'cpu', '--out', run]), /already holds a run/, /--resume/)
    expect(readFileSync(join(run, 'config.json'), 'utf8')).toBe('{}')
  })

  it('a run that another process goes on with', async () => {
    const run = join(directory, 'used')
    const flags = ['--questions', '3', '--steps', '1', '--device', 'cpu', '--threads', '1']
    expect((await axpo(['train', ...flags, '--out', run])).code).toBe(0)
    // this test's own process is alive
    writeFileSync(join(run, 'lock'), String(process.pid))
    const ended = await axpo(['train', '--device', 'cpu', '--resume', run])
    expectError(ended, new RegExp(`one process at a time, got process ${process.pid} in it`))
  })
  it('a full disk: the step before stays whole, the error says what to do', () => {
    const run = join(directory, 'full')
    const folder = RunFolder.create(run, {})
    folder.step({ step: 1 }, { step: 1 }, [], new Map())
    const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    // /dev/full answers every write with "no space left on device"
    rmSync(join(run, 'timings.jsonl'))
    symlinkSync('/dev/full', join(run, 'timings.jsonl'))
    let message = ''
    try {
      folder.step({ step: 2 }, { step: 2 }, [], new Map())
    } catch (error) {
      message = explain(error)
    }
    folder.close()
    expect(message).toMatch(/ENOSPC.*disk is full.*--resume/s)
    expect(readFileSync(join(run, 'metrics.jsonl'), 'utf8').startsWith(lines)).toBe(true)
  })
})

describe('devices', { timeout: 60_000 }, () => {
  it('no adapter', async () => {
    const none = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' }
    const ended = await axpo(['eval', '--device', 'webgpu', '--questions', '3'], none)
    expectError(ended, /--device webgpu needs an adapter, got none/, /--device cpu/)
  })
})
