/** `axpo train` and `axpo compare` on questions from a file of the user's, at the command line: every rollout and every figure is of that file, and recipes see the same questions. */
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readTrajectories } from '@axpo/trajectory'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAxpo } from './command-line.fixture.ts'
import { loadPlan } from './compare-plan.ts'
import { loadRunConfig } from './train.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-own-tasks-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const axpo = (...args: string[]) => runAxpo(directory, ...args)

/** Questions about a table of digits that search can find; `letters` are families. */
function writeTasks(name: string, splits: readonly string[]): string {
  const lines = splits.flatMap((split, s) =>
    [0, 1, 2].map((n) => {
      const [title, answer] = [`e${s}${n} a${n}`, `${(s + n) % 4}`]
      const documents = [0, 1].map((d) => ({ title: `e${s}${n} a${n + d}`, text: d === 0 ? answer : '0' }))
      return {
        id: `q-${split}-${n}`,
        question: `${title}?`,
        answer,
        split,
        family: 'digits',
        tools: ['search'],
        documents,
      }
    }),
  )
  writeFileSync(join(directory, name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return name
}

interface Seen {
  readonly family: string
  readonly split: string
  readonly questionId: string
}

async function rolloutsOf(path: string): Promise<Seen[]> {
  const found: Seen[] = []
  for await (const record of readTrajectories(path)) if (record.kind === 'trajectory') found.push(record.trajectory)
  return found
}

const small = ['--questions', '2', '--steps', '2']

describe('questions of a file', { timeout: 240_000 }, () => {
  it('train: every rollout is of its train split', async () => {
    const tasks = writeTasks('own.jsonl', ['train', 'validation', 'test'])
    const run = join(directory, 'run')
    const ended = await axpo('train', '--tasks', tasks, '--device', 'cpu', '--threads', '1', ...small, '--out', run)
    expect(ended.code, ended.text).toBe(0)
    expect(loadRunConfig(run).settings.tasks).toBe(join(directory, tasks))
    const seen = await rolloutsOf(join(run, 'trajectories.msgpack'))
    expect(seen.length).toBeGreaterThanOrEqual(2 * 2 * 8)
    for (const t of seen) expect([t.family, t.split]).toEqual(['digits', 'train'])
    // two steps of two questions: each of the three at least once
    expect(new Set(seen.map((t) => t.questionId)).size).toBe(3)
  })

  it('compare: two recipes, two seeds, the same questions for both; tables of the file alone', async () => {
    const tasks = writeTasks('second.jsonl', ['train', 'validation', 'test'])
    const sizes = '--recipes grpo,axpo --seeds 2 --eval-every 2 --eval-questions 3 --validation-questions 2 --samples 2'
    const more = '--no-equal-rollouts --replicates 100 --jobs 2 --keep-trajectories --unseen-questions 3 --out out'
    const ended = await axpo('compare', '--tasks', tasks, ...small, ...`${sizes} ${more}`.split(' '))
    expect(ended.code, ended.text).toBe(0)
    expect(ended.text).toContain('Difference to grpo: Pass@1')
    const out = join(directory, 'out')
    expect(loadPlan(out)).toMatchObject({ tasks: join(directory, tasks), unseenQuestions: 0 })
    const result = JSON.parse(readFileSync(join(out, 'compare.json'), 'utf8')) as {
      groups: { seeds: number[]; arms: { recipe: string; passAt1: { families: Record<string, unknown> } }[] }[]
    }
    expect(result.groups).toHaveLength(1)
    expect(result.groups[0]!.seeds).toEqual([101, 102])
    expect(result.groups[0]!.arms.map((a) => a.recipe)).toEqual(['grpo', 'axpo'])
    for (const arm of result.groups[0]!.arms) expect(Object.keys(arm.passAt1.families)).toEqual(['digits'])

    const questions = async (recipe: string, seed: number) => {
      const seen = await rolloutsOf(join(out, 'cells', 's-0.38', recipe, `seed-${seed}`, 'trajectories.msgpack'))
      expect(new Set(seen.map((t) => `${t.family} ${t.split}`))).toEqual(new Set(['digits train']))
      return [...new Set(seen.map((t) => t.questionId))]
    }
    for (const seed of [101, 102]) expect(await questions('axpo', seed)).toEqual(await questions('grpo', seed))
    const test = globSync('cells/s-0.38/*/seed-*/evaluations/step-000002-test.json', { cwd: out })
    expect(test).toHaveLength(4)
    for (const path of test) {
      const { rows } = JSON.parse(readFileSync(join(out, path), 'utf8')) as { rows: [string, string][] }
      expect(rows.map(([id]) => id).sort()).toEqual(['q-test-0', 'q-test-1', 'q-test-2'])
    }
  })

  it('a file that changed in the meantime: a run is not gone on with, nor a comparison; whoever puts it back goes on', async () => {
    const splits = ['train', 'validation', 'test']
    const tasks = writeTasks('changing.jsonl', splits)
    const sizes = '--recipes grpo --seeds 1 --eval-every 2 --eval-questions 3 --validation-questions 2 --samples 2'
    const compare = [
      'compare',
      '--tasks',
      tasks,
      ...small,
      ...sizes.split(' '),
      '--replicates',
      '100',
      '--out',
      'third',
    ]
    expect((await axpo(...compare)).code).toBe(0)
    const run = join('third', 'cells', 's-0.38', 'grpo', 'seed-101')
    const resume = ['train', '--device', 'cpu', '--resume', run]
    writeTasks('changing.jsonl', splits.toReversed())
    for (const [args, message] of [
      [resume, /changing\.jsonl: the questions must be those the run began with/],
      [compare, /tasksSha256.*Give another --out, or the settings/],
    ] as const) {
      const ended = await axpo(...args)
      expect(ended.code).toBe(1)
      expect(ended.text).toMatch(message)
    }
    writeTasks('changing.jsonl', splits)
    expect((await axpo(...compare)).code).toBe(0)
  })

  it('a file that is not there, or has no question of a split that is needed, is refused before anything begins', async () => {
    const cases = [
      [['compare'], 'nowhere.jsonl', /nowhere\.jsonl/],
      [['compare'], writeTasks('no-test.jsonl', ['train', 'validation']), /the split test must have a question, got 6/],
      [
        ['train', '--device', 'cpu'],
        writeTasks('no-train.jsonl', ['test']),
        /the split train must have a question, got 3/,
      ],
      [['start', '--device', 'cpu'], writeTasks('only.jsonl', ['train']), /the split test must have a question, got 3/],
    ] as const
    for (const [command, tasks, message] of cases) {
      const ended = await axpo(...command, '--tasks', tasks, ...small, '--out', 'refused')
      expect(ended.code).toBe(1)
      expect(ended.text).toMatch(message)
      expect(ended.text).not.toMatch(/\n\s+at /)
      expect(existsSync(join(directory, 'refused'))).toBe(false)
    }
  })
})
