/**
 * A run on disk, so that a run killed at any moment goes on with the same bytes:
 *
 *   config.json            settings, written once
 *   metrics.jsonl          one line a step, no clocks
 *   timings.jsonl          seconds a step; differs between machines and runs; steps done again after a kill appear again
 *   trajectories.msgpack   every rollout of every step (@axpo/trajectory, SPEC.md)
 *   checkpoints/step-N/    weights, optimiser and state.json, which says how long the two files above were at that step
 *   evaluations/NAME.msgpack
 *   report.html
 *
 * Resuming cuts the files back to the last whole checkpoint. Not here: what is trained.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Learner } from '@axpo/model'
import { type RawImage, type Trajectory, TrajectoryWriter } from '@axpo/trajectory'
import * as z from 'zod'

const stateSchema = z.object({
  step: z.int().nonnegative(),
  metricsByteLength: z.int().nonnegative(),
  trajectoriesByteLength: z.int().nonnegative(),
})
type State = z.infer<typeof stateSchema>

/** Whole checkpoints kept; the older are deleted. */
const keptCheckpoints = 2

export function checkpointDirectory(directory: string, step: number): string {
  return join(directory, 'checkpoints', `step-${String(step).padStart(6, '0')}`)
}

/** Steps that have a checkpoint, ascending. A checkpoint is renamed into place when whole. */
export function checkpointSteps(directory: string): number[] {
  const parent = join(directory, 'checkpoints')
  if (!existsSync(parent)) return []
  return readdirSync(parent)
    .flatMap((name) => /^step-(\d{6})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/** Parses JSON of a run's file, with the path in the error. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Error(
      `${path}: must hold JSON, got ${(error as Error).message}. Restore it from a copy or start a new run.`,
    )
  }
}

function loadState(directory: string, step: number): State {
  const path = join(checkpointDirectory(directory, step), 'state.json')
  const parsed = stateSchema.safeParse(readJson(path))
  if (!parsed.success)
    throw new Error(`${path}: ${z.prettifyError(parsed.error)}. Delete this checkpoint to resume from the one before.`)
  return parsed.data
}

export class RunFolder {
  readonly directory: string
  private readonly writer: TrajectoryWriter
  /** Steps done at the checkpoint the run stands on. */
  readonly resumedStep: number

  private constructor(directory: string, writer: TrajectoryWriter, resumedStep: number) {
    this.directory = directory
    this.writer = writer
    this.resumedStep = resumedStep
  }

  /** A new run; the folder must not hold one. */
  static create(directory: string, config: unknown): RunFolder {
    if (existsSync(join(directory, 'config.json')))
      throw new Error(
        `train: ${directory} already holds a run. Go on with it by --resume ${directory}, or give another --out.`,
      )
    for (const name of ['metrics.jsonl', 'trajectories.msgpack'])
      if (existsSync(join(directory, name)))
        throw new Error(`train: ${directory} must hold no ${name} of something else, got one. Give another --out.`)
    mkdirSync(join(directory, 'checkpoints'), { recursive: true })
    mkdirSync(join(directory, 'evaluations'), { recursive: true })
    const path = join(directory, 'config.json')
    writeFileSync(`${path}.part`, `${JSON.stringify(config, null, 2)}\n`)
    writeFileSync(join(directory, 'metrics.jsonl'), '')
    renameSync(`${path}.part`, path)
    return new RunFolder(directory, RunFolder.openWriter(directory, 0), 0)
  }

  /** Cuts the run back to its last whole checkpoint (or to its start) and opens it. The caller loads the checkpoint. */
  static resume(directory: string): RunFolder {
    if (!existsSync(join(directory, 'config.json')))
      throw new Error(`train: --resume needs a run folder, got ${directory} without config.json. Check the path.`)
    for (const name of readdirSync(join(directory, 'checkpoints')))
      if (name.endsWith('.part')) rmSync(join(directory, 'checkpoints', name), { recursive: true })
    const step = checkpointSteps(directory).at(-1) ?? 0
    const state = step === 0 ? null : loadState(directory, step)
    const metrics = join(directory, 'metrics.jsonl')
    const wanted = state?.metricsByteLength ?? 0
    const got = existsSync(metrics) ? statSync(metrics).size : 0
    if (got < wanted)
      throw new Error(`${metrics}: must hold ${wanted} bytes at step ${step}, got ${got}. Restore it from a copy.`)
    if (got > 0) truncateSync(metrics, wanted)
    return new RunFolder(directory, RunFolder.openWriter(directory, state?.trajectoriesByteLength ?? 0), step)
  }

  private static openWriter(directory: string, truncateTo: number): TrajectoryWriter {
    return TrajectoryWriter.open(join(directory, 'trajectories.msgpack'), { truncateTo, meta: { kind: 'training' } })
  }

  /** Sources before their continuations. */
  step(
    metrics: object,
    timings: object,
    trajectories: readonly Trajectory[],
    images: ReadonlyMap<string, RawImage>,
  ): void {
    for (const t of trajectories) {
      for (const { sha256 } of t.images) this.writer.image(sha256, images.get(sha256)!)
      this.writer.trajectory(t)
    }
    appendFileSync(join(this.directory, 'metrics.jsonl'), `${JSON.stringify(metrics)}\n`)
    appendFileSync(join(this.directory, 'timings.jsonl'), `${JSON.stringify(timings)}\n`)
  }

  async checkpoint(learner: Learner, step: number): Promise<string> {
    this.writer.sync()
    const final = checkpointDirectory(this.directory, step)
    if (existsSync(final)) return final
    const part = `${final}.part`
    await learner.save(part, { optimiser: true })
    const state: State = {
      step,
      metricsByteLength: statSync(join(this.directory, 'metrics.jsonl')).size,
      trajectoriesByteLength: this.writer.byteLength(),
    }
    writeFileSync(join(part, 'state.json'), `${JSON.stringify(state)}\n`)
    renameSync(part, final)
    for (const old of checkpointSteps(this.directory).slice(0, -keptCheckpoints))
      rmSync(checkpointDirectory(this.directory, old), { recursive: true })
    return final
  }

  close(): void {
    this.writer.close()
  }
}
