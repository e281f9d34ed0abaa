/**
 * The main job: evaluate a checkpoint, train it, evaluate again, say what changed. Also `axpo train`, which is the same without the evaluations, and resuming either. A
 * run's settings, evaluation included, stand in its folder, and a resumed run takes them from there. Not here: flags (command-train.ts), the report (run-report.ts).
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { RolloutSetting, Tool } from '@axpo/agent'
import {
  checkTasks,
  type EvaluationPlan,
  evaluate,
  evaluationTasks,
  largestQuestions,
  openPython,
  openSession,
  openUserTools,
  type Session,
  saveEvaluation,
  type UserTools,
} from '@axpo/eval'
import type { CpuBuild, DeviceRequest } from '@axpo/kernels'
import type { RawImage } from '@axpo/trajectory'
import { lockFolder } from './folder-lock.ts'
import { createProgress, formatSeconds } from './progress.ts'
import type { RlSettings, Trainer } from './rl-step.ts'
import { RunFolder } from './run-folder.ts'
import { evaluationPath, report } from './run-report.ts'
import { createTrainer, loadRunConfig, type RunConfig, rolloutSetting, train } from './train.ts'
import { checkMiniBatches } from './updates.ts'

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

export interface NewRun {
  readonly checkpoint: string
  readonly settings: Omit<RlSettings, 'steps' | 'questions'>
  readonly checkpointEvery: number
  /** Null: no evaluation before and after. */
  readonly evaluation: Omit<EvaluationPlan, 'questions'> | null
  /** Sizes that were asked for; the others follow the device. */
  readonly sizes: Partial<JobSizes>
}

export interface MainJobOptions {
  /** Null: auto for a new run, the run's own for a resumed one. */
  readonly device: DeviceRequest | null
  readonly threads: number
  readonly build?: CpuBuild
  /** Run folder. */
  readonly directory: string
  /** Null: go on with the run in `directory`. */
  readonly newRun: NewRun | null
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

class Interrupted extends Error {}

/** Evaluates the session's present weights unless the file is there already (a resumed run). Throws Interrupted when asked to stop: nothing is written then. */
async function evaluateInto(
  session: Session,
  agent: RolloutSetting,
  plan: EvaluationPlan,
  options: MainJobOptions,
  which: 'before' | 'after',
): Promise<void> {
  const path = evaluationPath(options.directory, which)
  if (existsSync(path)) return
  const images = new Map<string, RawImage>()
  const progress = createProgress(`evaluate ${which}`, plan.questions * plan.samples, 'rollouts')
  const onRollout = (done: number) => {
    if (options.stop()) throw new Interrupted()
    progress.update(done)
  }
  try {
    const trajectories = await evaluate({ ...agent, images }, plan, onRollout)
    const meta = { kind: 'evaluation', label: which, plan, weightVersion: session.model.weightVersion() }
    saveEvaluation(path, meta, trajectories, images)
  } finally {
    progress.end()
  }
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

interface OpenRun {
  readonly folder: RunFolder
  readonly config: RunConfig
}

function createRun(directory: string, run: NewRun, session: Session): OpenRun {
  const { steps, questions, evaluationQuestions } = sizesFor(run.sizes, session)
  const { settings, evaluation } = run
  checkMiniBatches(settings.recipe, questions)
  const config: RunConfig = {
    formatVersion: 1,
    checkpoint: run.checkpoint,
    checkpointSha256: sha256Of(run.checkpoint),
    device: session.executor.kind,
    checkpointEvery: run.checkpointEvery,
    settings: { ...settings, steps, questions, families: [...settings.families] },
    evaluation: evaluation && { ...evaluation, questions: evaluationQuestions, families: [...evaluation.families] },
  }
  return { folder: RunFolder.create(directory, config), config }
}

function resumeRun(directory: string, session: Session): OpenRun {
  const config = loadRunConfig(directory)
  if (config.device !== session.executor.kind)
    console.log(
      `the run began on ${config.device} and goes on elsewhere: its bytes will differ from an undisturbed run's`,
    )
  return { folder: RunFolder.resume(directory), config }
}

function checkStart(config: RunConfig): void {
  const got = sha256Of(config.checkpoint)
  if (got !== config.checkpointSha256)
    throw new Error(
      `train: ${config.checkpoint} must be the checkpoint that the run began with (SHA-256 ${config.checkpointSha256}), got ${got}. Restore it, or start a new run.`,
    )
}

/** Before, training, after; false when it was stopped. */
async function work(trainer: Trainer, options: MainJobOptions, run: OpenRun): Promise<boolean> {
  const { session, agent } = trainer
  const { config, folder } = run
  const { evaluation } = config
  if (evaluation) {
    await session.model.load(config.checkpoint)
    await evaluateInto(session, agent, evaluation, options, 'before')
  }
  const outcome = await train(trainer, config, folder, { stop: options.stop })
  if (!outcome.finished) return false
  console.log(`checkpoint: ${relative('.', outcome.checkpoint)}`)
  if (evaluation) await evaluateInto(session, agent, evaluation, options, 'after')
  return true
}

/** What a run needs, its questions checked against its tools before any folder is made. */
async function openTrainer(
  session: Session,
  python: Tool,
  own: UserTools,
  { settings, evaluation }: Pick<NewRun, 'settings' | 'evaluation'>,
): Promise<Trainer> {
  const trainer = await createTrainer(session, rolloutSetting(session, python, own.tools), settings)
  if (evaluation?.tasks !== undefined)
    checkTasks(await evaluationTasks({ ...evaluation, questions: largestQuestions }), trainer.agent)
  return trainer
}

/** How long a run waits for a process that was told to stop and is still in its last step. */
const lockWaitMs = 5000

/** Returns whether the run came to its end. Prints to stdout; progress goes to stderr. */
export async function mainJob(options: MainJobOptions): Promise<boolean> {
  const { directory, threads, build, newRun } = options
  const began = performance.now()
  const { checkpoint, device, ...asked } = newRun ? { ...newRun, device: 'auto' as const } : loadRunConfig(directory)
  await using opened = new AsyncDisposableStack()
  const own = await openUserTools(asked.settings)
  opened.defer(() => own.dispose())
  const session = await openSession({
    device: options.device ?? device,
    threads,
    checkpoint,
    ...(build ? { build } : {}),
  })
  opened.defer(() => session.close())
  console.log(`device: ${session.device}`)
  const python = openPython()
  opened.defer(() => python.dispose())
  if (!newRun) opened.defer(await lockFolder(directory, lockWaitMs))
  const trainer = await openTrainer(session, python, own, asked)
  const run = newRun ? createRun(directory, newRun, session) : resumeRun(directory, session)
  if (newRun) opened.defer(await lockFolder(directory, lockWaitMs))
  checkStart(run.config)
  const { resumedStep } = run.folder
  console.log(`run: ${relative('.', directory)}${resumedStep > 0 ? `, resumed at step ${resumedStep}` : ''}`)
  await python.warm()
  const finished = await work(trainer, options, run).catch((error: unknown) => {
    if (error instanceof Interrupted) return false
    throw error
  })
  if (!finished) {
    console.log(`stopped; go on with: npm run axpo -- train --resume ${relative('.', directory)}`)
    return false
  }
  if (!run.config.evaluation) return true
  const { table, path } = await report(directory, (tokens) => session.codec.decode(tokens))
  console.log(`\n${table}\n`)
  console.log(`report: ${relative('.', path)}  (${formatSeconds((performance.now() - began) / 1000)} in all)`)
  return true
}
