/**
 * Training from a checkpoint into a run folder, to the end, to an interruption, or from where a killed run stood. Not here: the step (rl-step.ts), files
 * (run-folder.ts), evaluation before and after (start.ts).
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAdvantage } from '@axpo/advantage'
import { defaultLimits, type RolloutSetting, type Tool } from '@axpo/agent'
import {
  agentPorts,
  checkTasks,
  createTaskRow,
  loadSplit,
  type Session,
  suiteRegistry,
  tasksFileOf,
  userTask,
} from '@axpo/eval'
import { checkRecipe, type Recipe } from '@axpo/policy'
import { families, heldOutFamilies, splits } from '@axpo/tasks'
import * as z from 'zod'
import { createProgress } from './progress.ts'
import { recipeSchema } from './recipe-file.ts'
import { type RlSettings, rlStep, type StepMetrics, type Trainer } from './rl-step.ts'
import { checkpointDirectory, type RunFolder, readJson } from './run-folder.ts'

/** config.json of a run. */
/** UserFiles of settings on disk. */
export const userFilesShape = {
  tasks: z.string().exactOptional(),
  tasksSha256: z.string().exactOptional(),
  tools: z.string().exactOptional(),
  toolsSha256: z.string().exactOptional(),
}

const configSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** Where the run began. */
  checkpoint: z.string(),
  /** SHA-256 of its model.safetensors. */
  checkpointSha256: z.string(),
  /** Device that made the run; resuming elsewhere is allowed, the bytes then differ. */
  device: z.enum(['cpu', 'webgpu']),
  /** Steps between checkpoints. */
  checkpointEvery: z.int().positive(),
  settings: z.strictObject({
    recipe: recipeSchema,
    seed: z.int().nonnegative(),
    steps: z.int().nonnegative(),
    questions: z.int().positive(),
    easyShare: z.number().min(0).max(1),
    families: z.array(z.enum(['zoom', 'python', 'search'])).min(1),
    ...userFilesShape,
    learningRate: z.number().positive(),
    warmUpSteps: z.int().nonnegative(),
  }),
  /** Before and after; null for none. */
  evaluation: z
    .strictObject({
      split: z.enum(splits),
      questions: z.int().positive(),
      samples: z.int().positive(),
      easyShare: z.number().min(0).max(1),
      seed: z.int().nonnegative(),
      families: z.array(z.enum([...families, ...heldOutFamilies])).min(1),
      ...userFilesShape,
      rewardThreshold: z.number().exactOptional(),
    })
    .nullable(),
})
export type RunConfig = z.infer<typeof configSchema>

export function loadRunConfig(directory: string): RunConfig {
  const path = join(directory, 'config.json')
  if (!existsSync(path))
    throw new Error(`train: a run folder is needed, got ${directory} without config.json. Check the path.`)
  const parsed = configSchema.safeParse(readJson(path))
  if (!parsed.success)
    throw new Error(`${path}: ${z.prettifyError(parsed.error)}. It was not written by this version; start a new run.`)
  return parsed.data
}

/** All settings but the sizes, which follow the device. */
export function rlSettings(
  recipe: Recipe,
  overrides: Partial<Omit<RlSettings, 'recipe' | 'steps' | 'questions'>> = {},
): Omit<RlSettings, 'steps' | 'questions'> {
  checkRecipe(recipe)
  return {
    recipe,
    seed: 1,
    easyShare: 0.5,
    families,
    learningRate: 4e-4,
    warmUpSteps: 0,
    ...overrides,
  }
}

/** `own`: the user's tools. */
export function rolloutSetting(session: Session, python: Tool, own: readonly Tool[] = []): RolloutSetting {
  return {
    ...agentPorts(session),
    tools: suiteRegistry(python, own),
    temperature: 1,
    limits: defaultLimits,
    images: new Map(),
  }
}

export async function createTrainer(
  session: Session,
  agent: RolloutSetting,
  settings: Pick<RlSettings, 'tasks' | 'tasksSha256' | 'seed'> | undefined,
): Promise<Trainer> {
  const advantage = await loadAdvantage()
  const file = tasksFileOf(settings ?? {})
  if (!settings || file === null) return { session, agent, advantage }
  const questions = await loadSplit(file, 'train')
  checkTasks(questions.map(userTask), agent)
  return { session, agent, advantage, taskRow: createTaskRow(questions, settings.seed) }
}

const rate = (v: number | null): string => (v === null ? ' - ' : v.toFixed(2))

/** One line a step for people. */
export function formatStep(m: StepMetrics, steps: number, seconds: number): string {
  const recovery = m.selectedPrefixes === 0 ? '' : `  recovered ${rate(m.recoveryRate)} of ${m.selectedPrefixes}`
  return `step ${String(m.step).padStart(String(steps).length)}/${steps}  reward ${rate(m.reward)}  tool use ${rate(m.toolUseRate)}  all wrong ${rate(m.allWrongToolRate)}${recovery}${m.klNats === null ? '' : `  kl ${m.klNats.toFixed(3)}`}  ${seconds.toFixed(1)} s`
}

export interface TrainControl {
  /** Asked after each step: true ends the run cleanly. */
  readonly stop: () => boolean
  /** Where step lines and progress go. */
  readonly stream?: NodeJS.WriteStream
}

export interface TrainOutcome {
  readonly steps: number
  readonly finished: boolean
  /** The last checkpoint's folder. */
  readonly checkpoint: string
}

/** Puts the run's starting weights in the reference and the last checkpoint's in the learner. */
async function restore(session: Session, config: RunConfig, folder: RunFolder): Promise<void> {
  await session.model.load(config.checkpoint)
  await session.model.setReference()
  if (folder.resumedStep > 0)
    await session.model.learner.load(checkpointDirectory(folder.directory, folder.resumedStep), { optimiser: true })
}

export async function train(
  trainer: Trainer,
  config: RunConfig,
  folder: RunFolder,
  control: TrainControl,
): Promise<TrainOutcome> {
  const { settings, checkpointEvery } = config
  const { learner } = trainer.session.model
  await restore(trainer.session, config, folder)
  let step = folder.resumedStep
  const first = step
  const progress = createProgress('train', settings.steps - first, 'steps', control.stream)
  try {
    while (step < settings.steps && !control.stop()) {
      const result = await rlStep(trainer, settings, step)
      step++
      const { metrics, sampleSeconds, learnSeconds } = result
      folder.step(
        metrics,
        { step, sampleSeconds, learnSeconds },
        [...result.rollouts, ...result.continuations, ...result.dropped],
        result.images,
      )
      progress.line(formatStep(metrics, settings.steps, sampleSeconds + learnSeconds))
      progress.update(step - first)
      if (step % checkpointEvery === 0) await folder.checkpoint(learner, step)
    }
    return { steps: step, finished: step === settings.steps, checkpoint: await folder.checkpoint(learner, step) }
  } finally {
    progress.end()
    folder.close()
  }
}

/** All of metrics.jsonl. */
export function loadMetrics(directory: string): StepMetrics[] {
  const path = join(directory, 'metrics.jsonl')
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as StepMetrics)
}
