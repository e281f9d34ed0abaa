/** What a cell leaves on disk: costs counted from trajectories, locks, progress. No model. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Trajectory, TrajectoryWriter } from '@axpo/trajectory'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareLine } from './compare-progress.ts'
import { countSpent, dropTrajectories, loadSeconds, loadSpent } from './compare-spent.ts'
import { lockFolder } from './folder-lock.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-compare-cell-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

/** 3 tokens of prompt, then `sampled` tokens. */
function rollout(step: number, sample: number, sampled: number, parent: Trajectory['parent'] = null): Trajectory {
  const length = 3 + sampled
  return {
    id: `1-${step}-q-${sample}`,
    questionId: 'q',
    family: 'zoom',
    split: 'train',
    step,
    question: 0,
    sample,
    parent,
    tokens: new Int32Array(length).fill(7),
    logprobs: new Float32Array(length),
    entropies: new Float32Array(length),
    trainable: Uint8Array.from({ length }, (_, i) => (i < 3 ? 0 : 1)),
    segments: [
      { kind: 'prompt', start: 0, end: 3, weightVersion: -1 },
      { kind: 'think', start: 3, end: length, weightVersion: step },
    ],
    images: [],
    answer: null,
    reward: 0,
    finish: 'length',
  }
}

function write(...trajectories: Trajectory[]): void {
  const writer = TrajectoryWriter.open(join(directory, 'trajectories.msgpack'), { truncateTo: 0 })
  for (const t of trajectories) writer.trajectory(t)
  writer.close()
}

describe('spent', () => {
  it('counts every rollout and only the tokens it sampled itself, and goes on after the trajectories were dropped', () => {
    const source = rollout(0, 0, 10)
    write(source, rollout(0, 1, 4), rollout(0, 1000, 12, { id: source.id, forkToken: 8 }), rollout(1, 0, 5))
    countSpent(directory)
    // the continuation shares 5 of its 12 tokens with its source
    const first = [
      { step: 1, rollouts: 3, tokens: 10 + 4 + 7 },
      { step: 2, rollouts: 1, tokens: 5 },
    ]
    expect(loadSpent(directory)).toEqual(first)
    dropTrajectories(directory)
    countSpent(directory)
    expect(loadSpent(directory)).toEqual(first)
    // a step that was run again replaces its line
    write(rollout(1, 0, 6), rollout(2, 0, 1))
    countSpent(directory)
    expect(loadSpent(directory)).toEqual([
      first[0],
      { step: 2, rollouts: 1, tokens: 6 },
      { step: 3, rollouts: 1, tokens: 1 },
    ])
  })
  it('times: the last of each step counts, a line that a kill cut is left out', () => {
    const line = (step: number, s: number) => JSON.stringify({ step, sampleSeconds: s, learnSeconds: 0.5 })
    writeFileSync(
      join(directory, 'timings.jsonl'),
      `${[line(1, 1), line(2, 9), line(2, 2)].join('\n')}\n{"step":3,"samp`,
    )
    expect(loadSeconds(directory)).toEqual({ train: [1.5, 2.5], evaluate: 0 })
  })
})

describe('lock', () => {
  it('one holder; a dead one is replaced', async () => {
    const path = join(directory, 'lock')
    const release = await lockFolder(directory, 0)
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid))
    await expect(lockFolder(directory, 150)).rejects.toThrow(/one process at a time, got process \d+/)
    release()
    writeFileSync(path, '4194305') // above the largest process id of Linux
    const again = await lockFolder(directory, 0)
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid))
    again()
  })
})

describe('progress', () => {
  it('cells done, time left, what runs', () => {
    const running = new Map([['axpo s 0.5 seed 2', 'step 41/100']])
    const state = { cells: 17, done: 3, workDone: 25, work: 100, seconds: 50, running }
    expect(compareLine(state)).toBe(
      'compare [#####...............] 3/17 cells, about 2 min 30 s left  axpo s 0.5 seed 2: step 41/100',
    )
    expect(compareLine({ ...state, workDone: 0, running: new Map() })).toBe(
      'compare [....................] 3/17 cells, time left not known yet',
    )
  })
})
