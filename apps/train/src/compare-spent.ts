/**
 * What each step of a cell cost, counted from its trajectories, which can then be dropped: spent.jsonl, one line a step. Every rollout that the run folder
 * recorded counts, continuations too; a token counts where the model sampled it (a continuation's own part only). Also the
 * wall times beside it.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { decodeRecords } from '@axpo/trajectory'
import { writeWhole } from './compare-plan.ts'
import { checkpointDirectory, checkpointSteps, readJson } from './run-folder.ts'

export interface StepSpent {
  /** From 1. */
  readonly step: number
  readonly rollouts: number
  /** Sampled tokens. */
  readonly tokens: number
}

const spentFile = 'spent.jsonl'
const trajectoriesFile = 'trajectories.msgpack'

function loadLines<T>(path: string): T[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}')) // a kill may have cut the last line
    .map((line) => JSON.parse(line) as T)
}

/** In ascending steps. */
export function loadSpent(directory: string): StepSpent[] {
  return loadLines(join(directory, spentFile))
}

export const evaluationTimingsFile = 'evaluation-timings.jsonl'

/** Seconds of each step and of all evaluations. A killed run does some of its work twice: the last time counts. */
export function loadSeconds(directory: string): { readonly train: readonly number[]; readonly evaluate: number } {
  const steps = new Map(
    loadLines<{ step: number; sampleSeconds: number; learnSeconds: number }>(join(directory, 'timings.jsonl')).map(
      (line) => [line.step, line.sampleSeconds + line.learnSeconds],
    ),
  )
  const evaluations = new Map(
    loadLines<{ step: number; name: string; evaluateSeconds: number }>(join(directory, evaluationTimingsFile)).map(
      (line) => [`${line.step} ${line.name}`, line.evaluateSeconds],
    ),
  )
  return {
    train: [...steps].sort(([a], [b]) => a - b).map(([, seconds]) => seconds),
    evaluate: [...evaluations.values()].reduce((a, b) => a + b, 0),
  }
}

/** Counts the steps that the trajectory file holds; earlier ones keep their line. */
export function countSpent(directory: string): void {
  const path = join(directory, trajectoriesFile)
  if (!existsSync(path)) return
  const counted = new Map<number, { step: number; rollouts: number; tokens: number }>()
  for (const record of decodeRecords(readFileSync(path), path)) {
    if (record.kind !== 'trajectory') continue
    const { trajectory } = record
    const step = trajectory.step + 1
    const spent = counted.get(step) ?? { step, rollouts: 0, tokens: 0 }
    counted.set(step, spent)
    spent.rollouts++
    for (let i = trajectory.parent?.forkToken ?? 0; i < trajectory.trainable.length; i++)
      spent.tokens += trajectory.trainable[i]!
  }
  const steps = [...loadSpent(directory).filter((s) => !counted.has(s.step)), ...counted.values()]
  steps.sort((a, b) => a.step - b.step)
  writeWhole(join(directory, spentFile), steps.map((s) => `${JSON.stringify(s)}\n`).join(''))
}

/** Drops the trajectories. The checkpoints are told first that the file begins anew, so that the run folder can still be gone on with. */
export function dropTrajectories(directory: string): void {
  for (const step of checkpointSteps(directory)) {
    const path = join(checkpointDirectory(directory, step), 'state.json')
    writeWhole(path, `${JSON.stringify({ ...(readJson(path) as object), trajectoriesByteLength: 0 })}\n`)
  }
  rmSync(join(directory, trajectoriesFile), { force: true })
}
