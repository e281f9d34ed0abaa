import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Learner } from '@axpo/model'
import { loadTrajectories, type Trajectory } from '@axpo/trajectory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkpointSteps, RunFolder } from './run-folder.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-run-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** A learner whose checkpoint is one file. */
const learner = {
  save: async (folder: string) => {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'model.safetensors'), 'weights')
  },
} as unknown as Learner

function trajectory(step: number): Trajectory {
  return {
    id: `1-${step}-q-0`,
    questionId: 'q',
    family: 'zoom',
    split: 'train',
    step,
    question: 0,
    sample: 0,
    parent: null,
    tokens: Int32Array.of(1, 2),
    logprobs: Float32Array.of(0, -0.5),
    entropies: Float32Array.of(0, 0.1),
    trainable: Uint8Array.of(0, 1),
    segments: [
      { kind: 'prompt', start: 0, end: 1, weightVersion: -1 },
      { kind: 'answer', start: 1, end: 2, weightVersion: 1 },
    ],
    images: [],
    answer: '2',
    reward: 1,
    finish: 'answer',
  }
}

const add = (folder: RunFolder, step: number) => folder.step({ step }, { step }, [trajectory(step)], new Map())

describe('run folder', () => {
  it('is cut back to the last whole checkpoint', async () => {
    const folder = RunFolder.create(join(directory, 'run'), {})
    add(folder, 1)
    await folder.checkpoint(learner, 1)
    add(folder, 2)
    folder.close()
    // killed while it wrote: half a line, half a record, half a checkpoint
    appendFileSync(join(directory, 'run', 'metrics.jsonl'), '{"step":3,"rew')
    const trajectories = join(directory, 'run', 'trajectories.msgpack')
    appendFileSync(trajectories, readFileSync(trajectories).subarray(0, 20))
    mkdirSync(join(directory, 'run', 'checkpoints', 'step-000002.part'))
    const resumed = RunFolder.resume(join(directory, 'run'))
    expect(resumed.resumedStep).toBe(1)
    add(resumed, 2)
    resumed.close()
    expect(readFileSync(join(directory, 'run', 'metrics.jsonl'), 'utf8')).toBe('{"step":1}\n{"step":2}\n')
    expect((await loadTrajectories(trajectories)).trajectories.map((t) => t.step)).toEqual([1, 2])
  })

  it('keeps the two newest checkpoints', async () => {
    const folder = RunFolder.create(join(directory, 'run'), {})
    for (const step of [1, 2, 3]) {
      add(folder, step)
      await folder.checkpoint(learner, step)
    }
    folder.close()
    expect(checkpointSteps(join(directory, 'run'))).toEqual([2, 3])
  })

  it('never writes into a folder that holds a run, nor resumes what is none', () => {
    RunFolder.create(join(directory, 'run'), {}).close()
    expect(() => RunFolder.create(join(directory, 'run'), {})).toThrow(/already holds a run.*--resume/)
    expect(() => RunFolder.resume(join(directory, 'nothing'))).toThrow(/without config.json/)
  })

  it('names a damaged checkpoint state and how to repair it', async () => {
    const folder = RunFolder.create(join(directory, 'run'), {})
    add(folder, 1)
    const checkpoint = await folder.checkpoint(learner, 1)
    folder.close()
    writeFileSync(join(checkpoint, 'state.json'), '{"step":"one"}')
    expect(() => RunFolder.resume(join(directory, 'run'))).toThrow(/state.json.*Delete this checkpoint/s)
  })
})
