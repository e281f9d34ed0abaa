/**
 * Evaluations on disk: one trajectory file each, whose header says how it was made. Written once, read back by `--from-trajectories`, every file for itself.
 * Not here: counting (evaluate.ts), the table (table.ts).
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { loadTrajectories, type RawImage, type TornTail, type Trajectory, TrajectoryWriter } from '@axpo/trajectory'

/** Throws when something stands at the path already: an evaluation is never replaced. */
export function checkNewFile(path: string): void {
  if (existsSync(path))
    throw new Error(
      `eval: --out must name a new file, got ${path}, which exists. Give another --out, or remove it first.`,
    )
}

/** The system's reason inside an error of the writer, without the writer's advice: an evaluation cannot be resumed. */
function systemReason(error: unknown): string | null {
  return error instanceof Error ? (/\bE[A-Z]{3,}: [^()]*/.exec(error.message)?.[0] ?? null) : null
}

/** Writes beside the path and renames at the end: a file under its final name is whole. Never replaces a file; leaves nothing behind when it fails. */
export function saveEvaluation(
  path: string,
  meta: Readonly<Record<string, unknown>>,
  trajectories: readonly Trajectory[],
  images: ReadonlyMap<string, RawImage>,
): void {
  checkNewFile(path)
  const part = `${path}.part`
  try {
    rmSync(part, { force: true })
    writeAll(part, meta, trajectories, images)
    renameSync(part, path)
  } catch (error) {
    rmSync(part, { force: true })
    const reason = systemReason(error)
    if (reason === null) throw error
    throw new Error(
      `eval: ${path} must be written, got ${reason}. Nothing was left there. Make room or choose a place that can be written, and evaluate again.`,
    )
  }
}

function writeAll(
  path: string,
  meta: Readonly<Record<string, unknown>>,
  trajectories: readonly Trajectory[],
  images: ReadonlyMap<string, RawImage>,
): void {
  const writer = TrajectoryWriter.open(path, { meta })
  try {
    for (const t of trajectories) {
      for (const { sha256 } of t.images) writer.image(sha256, images.get(sha256)!)
      writer.trajectory(t)
    }
    writer.sync()
  } finally {
    writer.close()
  }
}

export interface EvaluationFile {
  readonly path: string
  /** For people: the header's label or the file's name; of a training file, what it is. */
  readonly label: string
  /** Rollouts of a training run, sampled while the weights changed: no evaluation of one checkpoint. */
  readonly training: boolean
  readonly trajectories: readonly Trajectory[]
  /** Reward from which on a rollout is right, as the evaluation was made with. */
  readonly rewardThreshold: number
  /** Set when the file ends inside a record: the whole records before that byte. */
  readonly torn: TornTail | null
}

/** A question's sample counts once; in training, once a step. Continuations are not counted and may repeat. */
function checkOnce(path: string, trajectories: readonly Trajectory[], training: boolean): void {
  const seen = new Set<string>()
  for (const { parent, questionId, sample, step } of trajectories) {
    if (parent) continue
    const key = JSON.stringify([questionId, sample, training ? step : 0])
    if (seen.has(key))
      throw new Error(
        `eval: ${path} must hold each sample of a question once, got sample ${sample} of ${questionId} twice. Put each evaluation into a file of its own.`,
      )
    seen.add(key)
  }
}

function labelOf(path: string, meta: Readonly<Record<string, unknown>>, trajectories: readonly Trajectory[]): string {
  if (meta.kind === 'training') {
    const steps = new Set(trajectories.map((t) => t.step)).size
    return `training rollouts of ${steps} step${steps === 1 ? '' : 's'}`
  }
  return typeof meta.label === 'string' && meta.label !== '' ? meta.label : basename(path, '.msgpack')
}

function thresholdOf({ plan }: Readonly<Record<string, unknown>>): number {
  const threshold = (plan as { readonly rewardThreshold?: unknown } | undefined)?.rewardThreshold
  return typeof threshold === 'number' ? threshold : 1
}

/** One file. Of a torn one, the whole records; throws when those hold no trajectory. */
async function readEvaluation(path: string): Promise<EvaluationFile> {
  const { meta, trajectories, tornTail: torn } = await loadTrajectories(path, { tornTail: 'stop' })
  if (trajectories.length === 0)
    throw new Error(
      `eval: ${path} must hold a whole trajectory, got none${torn ? ` before its torn record at byte ${torn.byte}` : ''}. Check the path, or evaluate again.`,
    )
  const training = meta.kind === 'training'
  checkOnce(path, trajectories, training)
  const label = labelOf(path, meta, trajectories)
  return { path, label, training, trajectories, rewardThreshold: thresholdOf(meta), torn }
}

/** Trajectories of one whole file. */
export async function loadEvaluation(path: string): Promise<readonly Trajectory[]> {
  const { trajectories, torn } = await readEvaluation(path)
  if (torn)
    throw new Error(
      `eval: ${path} must be whole, got a torn record at byte ${torn.byte} after ${torn.records} whole ones. Evaluate again.`,
    )
  return trajectories
}

/** The folder itself, or of a run its evaluations: what it rolled out in training is no evaluation. */
function evaluationsFolder(path: string): string {
  if (!existsSync(join(path, 'config.json'))) return path
  const evaluations = join(path, 'evaluations')
  if (existsSync(evaluations)) return evaluations
  const training = join(path, 'trajectories.msgpack')
  if (existsSync(training))
    throw new Error(
      `eval: ${path} must be a run with evaluations, got one without. Give ${training} to score its training rollouts as what they are.`,
    )
  return path
}

/** A file; or every .msgpack file of a folder in order of name, of a run's folder those in its evaluations/. Files are not pooled. */
export async function loadEvaluations(path: string): Promise<EvaluationFile[]> {
  const info = await stat(path).catch(() => null)
  if (!info)
    throw new Error(`eval: --from-trajectories needs a file or folder, got nothing at ${path}. Check the path.`)
  if (!info.isDirectory()) return [await readEvaluation(path)]
  const folder = evaluationsFolder(path)
  const names = (await readdir(folder)).filter((n) => n.endsWith('.msgpack')).sort()
  if (names.length === 0)
    throw new Error(`eval: ${folder} holds no .msgpack file. Give a run's folder or a file of trajectories.`)
  const files: EvaluationFile[] = []
  for (const name of names) files.push(await readEvaluation(join(folder, name)))
  return files.map((file) =>
    files.some((other) => other !== file && other.label === file.label)
      ? { ...file, label: `${file.label} (${basename(file.path)})` }
      : file,
  )
}
