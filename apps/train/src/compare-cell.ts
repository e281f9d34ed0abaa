/**
 * Runs one cell to its last milestone, from wherever it stands: trains to each milestone (train.ts), counts what that cost, evaluates. A cell killed at any
 * moment goes on with the same bytes. Not here: which cells there are (compare-plan.ts), processes (compare-process.ts).
 */
import { appendFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { RolloutSetting } from '@axpo/agent'
import { countByQuestion, evaluate, openPython, openSession, openUserTools, type Session } from '@axpo/eval'
import type { RawImage } from '@axpo/trajectory'
import { evaluationPath, loadCounts, saveCounts } from './compare-evaluation.ts'
import type { CellJob, Milestone } from './compare-plan.ts'
import { countSpent, dropTrajectories, evaluationTimingsFile, loadSpent } from './compare-spent.ts'
import { lockFolder } from './folder-lock.ts'
import type { Trainer } from './rl-step.ts'
import { checkpointDirectory, checkpointSteps, RunFolder, readJson } from './run-folder.ts'
import { createTrainer, type RunConfig, rolloutSetting, train } from './train.ts'

/** Work done since the last report, in rollouts' worth, and where the cell stands, for people. */
export type ReportProgress = (work: number, text: string) => void

/** A training rollout costs its sampling and about as much again for each pass of learning. */
const stepWork = ({ settings: { questions, recipe } }: NonNullable<CellJob['config']>) =>
  (1 + (recipe.epochs ?? 1)) * questions * recipe.rollouts * (1 + recipe.budget)

const doneSteps = (directory: string): number => checkpointSteps(directory).at(-1) ?? 0

/** Throws when the folder holds a cell of other settings; how many steps it trained and on which device may differ. */
function checkSettings(job: CellJob): void {
  const path = join(job.directory, 'config.json')
  if (!job.config || !existsSync(path)) return
  const key = (config: object) => {
    const { checkpoint: _, device: __, settings, ...rest } = config as RunConfig
    return JSON.stringify({ ...rest, settings: { ...settings, steps: 0 } })
  }
  const [wanted, got] = [key(job.config), key(readJson(path) as object)]
  if (wanted !== got)
    throw new Error(
      `compare: ${job.directory} must hold a run with ${wanted}, got ${got}. Give another --out, or the settings this comparison began with.`,
    )
}

function missingEvaluations(job: CellJob, { step, evaluations }: Milestone) {
  const { directory, checkpointSha256 } = job
  return evaluations.filter(
    ({ name, plan }) => loadCounts(evaluationPath(directory, step, name), { step, checkpointSha256, plan }) === null,
  )
}

/** Work that is left, in rollouts' worth; 0: the cell is finished. Throws when it cannot be finished. */
export function workLeft(job: CellJob): number {
  checkSettings(job)
  const done = doneSteps(job.directory)
  let work = 0
  let last = done
  for (const milestone of job.milestones) {
    const missing = missingEvaluations(job, milestone)
    if (missing.length > 0 && milestone.step < done)
      throw new Error(
        `compare: ${job.directory} has gone on to step ${done}, so step ${milestone.step} can no longer be evaluated (${missing.map((e) => e.name).join(', ')}). Give the --eval-every and --steps it was made with, or another --out.`,
      )
    for (const { plan } of missing) work += plan.questions * plan.samples
    if (missing.length > 0) last = milestone.step
  }
  return work + (job.config ? (last - done) * stepWork(job.config) : 0)
}

function openFolder(directory: string, config: RunConfig): RunFolder {
  if (!existsSync(join(directory, 'config.json'))) return RunFolder.create(directory, config)
  const { device } = readJson(join(directory, 'config.json')) as RunConfig
  if (device !== config.device)
    throw new Error(`compare: ${directory} began on ${device}, got ${config.device}. Go on with --device ${device}.`)
  return RunFolder.resume(directory)
}

async function trainTo(trainer: Trainer, job: CellJob, step: number, report: ReportProgress): Promise<void> {
  if (!job.config) {
    await trainer.session.model.load(job.checkpoint)
    return
  }
  const { directory, keepTrajectories } = job
  const config: RunConfig = { ...job.config, device: trainer.session.executor.kind }
  const folder = openFolder(directory, config)
  let at = folder.resumedStep
  const first = at
  const last = job.milestones.at(-1)!.step
  // asked before each step
  const stop = () => {
    report(at > first ? stepWork(job.config!) : 0, `step ${at}/${last}`)
    at++
    return false
  }
  const untilNow = { ...config, settings: { ...config.settings, steps: step } }
  const { finished } = await train(trainer, untilNow, folder, { stop })
  if (!finished) throw new Error(`compare: ${directory} must reach step ${step}, got a stop before it.`)
  countSpent(directory)
  if (!keepTrajectories) dropTrajectories(directory)
  report(at > first ? stepWork(job.config) : 0, `step ${step}/${last}`)
}

async function evaluateAt(
  session: Session,
  agent: RolloutSetting,
  job: CellJob,
  milestone: Milestone,
  report: ReportProgress,
): Promise<void> {
  const { step } = milestone
  const { directory, checkpointSha256 } = job
  mkdirSync(join(directory, 'evaluations'), { recursive: true })
  for (const { name, plan } of missingEvaluations(job, milestone)) {
    const began = performance.now()
    const images = new Map<string, RawImage>()
    const trajectories = await evaluate({ ...agent, images }, plan, (done, total) =>
      report(1, `${name} ${Math.floor((100 * done) / total)} %`),
    )
    saveCounts(
      evaluationPath(directory, step, name),
      { step, checkpointSha256, plan },
      session.executor.kind,
      countByQuestion(trajectories, plan.rewardThreshold),
    )
    const seconds = (performance.now() - began) / 1000
    appendFileSync(
      join(directory, evaluationTimingsFile),
      `${JSON.stringify({ step, name, evaluateSeconds: seconds })}\n`,
    )
  }
}

/** How long a cell waits for a process of a killed comparison that is still in its last step. */
const lockWaitMs = 120_000

export async function runCell(job: CellJob, report: ReportProgress): Promise<void> {
  const { device, build, checkpoint } = job
  await using opened = new AsyncDisposableStack()
  opened.defer(await lockFolder(job.directory, lockWaitMs))
  const own = await openUserTools(job)
  opened.defer(() => own.dispose())
  const session = await openSession({ device, threads: 1, checkpoint, ...(build ? { build } : {}) })
  opened.defer(() => session.close())
  const python = openPython()
  opened.defer(() => python.dispose())
  await python.warm()
  const agent = rolloutSetting(session, python, own.tools)
  const trainer = await createTrainer(session, agent, job.config?.settings)
  for (const milestone of job.milestones) {
    if (missingEvaluations(job, milestone).length === 0) continue
    await trainTo(trainer, job, milestone.step, report)
    await evaluateAt(session, agent, job, milestone, report)
  }
  for (const step of checkpointSteps(job.directory).slice(0, -1))
    rmSync(checkpointDirectory(job.directory, step), { recursive: true })
  const steps = loadSpent(job.directory).length
  if (job.config && steps !== doneSteps(job.directory))
    throw new Error(
      `compare: ${job.directory}: spent.jsonl must have a line for each of ${doneSteps(job.directory)} steps, got ${steps}. Delete the cell, and compare again.`,
    )
}
