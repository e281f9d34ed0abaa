/**
 * The main job: evaluate a checkpoint, train it, evaluate again, say what changed. Also `axpo train`, which is the same without or with other settings, and
 * resuming either. Not here: flags (main.ts).
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { createPythonTool, type RolloutSetting } from '@axpo/agent'
import {
  countByQuestion,
  type EvaluationPlan,
  evaluate,
  formatTable,
  loadCheckpointCodec,
  loadEvaluation,
  openSession,
  type Session,
  saveEvaluation,
  summariseByFamily,
  type TableRow,
} from '@axpo/eval'
import type { DeviceRequest } from '@axpo/kernels'
import type { RawImage } from '@axpo/trajectory'
import { createProgress, formatSeconds } from './progress.ts'
import { type ReportRun, writeReport } from './report.ts'
import type { RlSettings } from './rl-step.ts'
import { RunFolder } from './run-folder.ts'
import { createTrainer, loadMetrics, loadRunConfig, type RunConfig, rolloutSetting, train } from './train.ts'

export interface JobSizes {
  /** Optimiser steps. */
  readonly steps: number
  /** Questions a step. */
  readonly questions: number
  /** Test questions of each evaluation. */
  readonly evaluationQuestions: number
}

/** 258 questions are 86 of each family. */
export const fullSizes: JobSizes = { steps: 100, questions: 16, evaluationQuestions: 258 }
/** On a software adapter: shows that everything runs, not that it learns. */
export const softwareSizes: JobSizes = { steps: 2, questions: 4, evaluationQuestions: 12 }

export interface MainJobOptions {
  readonly device: DeviceRequest
  readonly threads: number
  readonly checkpoint: string
  /** Run folder; made, or gone on with when `resume`. */
  readonly directory: string
  readonly resume: boolean
  readonly settings: Omit<RlSettings, 'steps' | 'questions'>
  readonly checkpointEvery: number
  /** Null: no evaluation before and after. */
  readonly evaluation: Omit<EvaluationPlan, 'questions'> | null
  /** Sizes that were asked for; the others follow the device. */
  readonly sizes: Partial<JobSizes>
  readonly stop: () => boolean
}

function sha256Of(checkpoint: string): string {
  const path = join(checkpoint, 'model.safetensors')
  if (!existsSync(path))
    throw new Error(
      `train: --checkpoint needs a folder with model.safetensors, got none at ${path}. Make one with axpo sft, or leave --checkpoint out.`,
    )
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** Evaluates the session's present weights unless the file is there already (a resumed run). */
async function evaluateInto(
  session: Session,
  agent: RolloutSetting,
  plan: EvaluationPlan,
  path: string,
  label: string,
): Promise<void> {
  if (existsSync(path)) return
  const images = new Map<string, RawImage>()
  const progress = createProgress(`evaluate ${label}`, plan.questions * plan.samples, 'rollouts')
  try {
    const trajectories = await evaluate({ ...agent, images }, plan, (done) => progress.update(done))
    saveEvaluation(
      path,
      { kind: 'evaluation', label, plan, weightVersion: session.model.weightVersion() },
      trajectories,
      images,
    )
  } finally {
    progress.end()
  }
}

async function tableRows(path: string, label: string): Promise<TableRow[]> {
  return summariseByFamily(countByQuestion(await loadEvaluation(path))).map((summary) => ({ label, summary }))
}

/** Whether two runs may stand in one table: same start, seed, questions and length, another recipe. */
function comparable(a: RunConfig, b: RunConfig): boolean {
  const key = ({ checkpointSha256, device, settings }: RunConfig) =>
    JSON.stringify([checkpointSha256, device, { ...settings, recipe: null }])
  return a.settings.recipe.name !== b.settings.recipe.name && key(a) === key(b)
}

/** This run, then finished runs beside it that differ in the recipe only (the newest of each). */
function runsToCompare(directory: string): string[] {
  const config = loadRunConfig(directory)
  const parent = dirname(directory)
  const found = new Map<string, string>()
  for (const name of readdirSync(parent).sort()) {
    const other = join(parent, name)
    if (name === basename(directory) || !existsSync(join(other, 'evaluations', 'after.msgpack'))) continue
    const candidate = loadRunConfig(other)
    if (comparable(config, candidate)) found.set(candidate.settings.recipe.name, other)
  }
  return [directory, ...found.values()]
}

async function loadReportRun(directory: string): Promise<ReportRun> {
  const config = loadRunConfig(directory)
  const label = config.settings.recipe.name
  return {
    directory,
    label,
    config,
    metrics: loadMetrics(directory),
    before: await tableRows(join(directory, 'evaluations', 'before.msgpack'), 'SFT'),
    after: await tableRows(join(directory, 'evaluations', 'after.msgpack'), label),
  }
}

/** Table and report of a run whose evaluations are there. */
export async function report(
  directory: string,
  decode: (tokens: ArrayLike<number>) => string,
): Promise<{ readonly table: string; readonly path: string }> {
  const runs = await Promise.all(runsToCompare(directory).map(loadReportRun))
  const rows = [...runs[0]!.before, ...runs.flatMap((r) => r.after)]
  const path = join(directory, 'report.html')
  await writeReport(path, runs, decode)
  return { table: formatTable(rows), path }
}

/** The same for a run of before; needs no device. */
export async function reportOf(directory: string): Promise<{ readonly table: string; readonly path: string }> {
  const { checkpoint } = loadRunConfig(directory)
  for (const name of ['before', 'after'])
    if (!existsSync(join(directory, 'evaluations', `${name}.msgpack`)))
      throw new Error(
        `report: ${directory} must hold evaluations/${name}.msgpack, got none. End the run with npm run axpo -- train --evaluate --resume ${directory}.`,
      )
  const codec = await loadCheckpointCodec(checkpoint)
  return report(directory, (tokens) => codec.decode(tokens))
}

/** The sizes of this job; says so when the device makes them smaller than the main job's. */
function sizesFor(asked: Partial<JobSizes>, session: Session): JobSizes {
  if (!session.software) return { ...fullSizes, ...asked }
  const sizes = { ...softwareSizes, ...asked }
  const { steps, questions, evaluationQuestions } = fullSizes
  console.log(
    `software adapter: ${sizes.steps} steps of ${sizes.questions} questions, ${sizes.evaluationQuestions} test questions (elsewhere ${steps}, ${questions}, ${evaluationQuestions}): enough to show that it runs, not that it learns. --steps, --questions and --eval-questions change it.`,
  )
  return sizes
}

function openRun(
  options: MainJobOptions,
  settings: RlSettings,
  device: 'cpu' | 'webgpu',
): { readonly folder: RunFolder; readonly config: RunConfig } {
  const { directory, checkpoint, checkpointEvery } = options
  if (options.resume) return { folder: RunFolder.resume(directory), config: loadRunConfig(directory) }
  const config: RunConfig = {
    formatVersion: 1,
    checkpoint,
    checkpointSha256: sha256Of(checkpoint),
    device,
    checkpointEvery,
    settings: { ...settings, families: [...settings.families] },
  }
  return { folder: RunFolder.create(directory, config), config }
}

function checkStart(config: RunConfig): void {
  const got = sha256Of(config.checkpoint)
  if (got !== config.checkpointSha256)
    throw new Error(
      `train: ${config.checkpoint} must be the checkpoint that the run began with (SHA-256 ${config.checkpointSha256}), got ${got}. Restore it, or start a new run.`,
    )
}

/** A resumed run's settings stand in its folder. */
function startOf({ resume, directory, checkpoint }: MainJobOptions): string {
  return resume ? loadRunConfig(directory).checkpoint : checkpoint
}

/** Returns whether the run came to its end. Prints to stdout; progress goes to stderr. */
export async function mainJob(options: MainJobOptions): Promise<boolean> {
  const began = performance.now()
  const session = await openSession({ device: options.device, threads: options.threads, checkpoint: startOf(options) })
  console.log(`device: ${session.device}`)
  const python = createPythonTool()
  try {
    const sizes = sizesFor(options.sizes, session)
    const { steps, questions } = sizes
    const { folder, config } = openRun(options, { ...options.settings, steps, questions }, session.executor.kind)
    const evaluation = options.evaluation && { ...options.evaluation, questions: sizes.evaluationQuestions }
    checkStart(config)
    console.log(
      `run: ${relative('.', options.directory)}${folder.resumedStep > 0 ? `, resumed at step ${folder.resumedStep}` : ''}`,
    )
    await python.warm()
    const agent = rolloutSetting(session, python)
    const evaluations = join(options.directory, 'evaluations')
    if (evaluation) {
      await session.model.load(config.checkpoint)
      await evaluateInto(session, agent, evaluation, join(evaluations, 'before.msgpack'), 'before')
    }
    const outcome = await train(await createTrainer(session, agent, config.settings), config, folder, {
      stop: options.stop,
    })
    if (!outcome.finished) {
      console.log(
        `stopped after step ${outcome.steps}; go on with: npm run axpo -- train --resume ${relative('.', options.directory)}`,
      )
      return false
    }
    console.log(`checkpoint: ${relative('.', outcome.checkpoint)}`)
    if (!evaluation) return true
    await evaluateInto(session, agent, evaluation, join(evaluations, 'after.msgpack'), 'after')
    const { table, path } = await report(options.directory, (tokens) => session.codec.decode(tokens))
    console.log(`\n${table}\n`)
    console.log(`report: ${relative('.', path)}  (${formatSeconds((performance.now() - began) / 1000)} in all)`)
    return true
  } finally {
    await python.dispose()
    await session.close()
  }
}
