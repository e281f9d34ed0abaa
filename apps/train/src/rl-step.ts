/**
 * One step of reinforcement learning on one page: sample, select prefixes, resample, weigh, update (arXiv 2605.28774, section 3). GRPO is the recipe with budget 0.
 * Not here: backward and optimiser (updates.ts), files, evaluation, the loop.
 */
import type { Advantage } from '@axpo/advantage'
import { type RolloutSetting, rolloutMany, type Task } from '@axpo/agent'
import { type Session, suiteTask, type UserFiles } from '@axpo/eval'
import {
  type Diagnostics,
  diagnose,
  planLoss,
  planSampling,
  type Recipe,
  type SampleJob,
  settingsOf,
  settleSampling,
} from '@axpo/policy'
import { type Family, loadQuestion } from '@axpo/tasks'
import type { RawImage, Trajectory } from '@axpo/trajectory'
import { runUpdates, type UpdateMetrics } from './updates.ts'

/** What a step works with; the setting's `images` is replaced by the step's own. */
export interface Trainer {
  readonly session: Session
  readonly agent: RolloutSetting
  readonly advantage: Advantage
  /** A user's train questions by number, instead of the suite's (createTaskRow). */
  readonly taskRow?: (index: number) => Task
}

/** With files of a user's, the train split of those questions is trained on, instead of the suite. */
export interface RlSettings extends UserFiles {
  readonly recipe: Recipe
  readonly seed: number
  readonly steps: number
  /** B, questions a step. */
  readonly questions: number
  /** s: share of items that need no tool. */
  readonly easyShare: number
  readonly families: readonly Family[]
  /** Peak learning rate of AdamW. */
  readonly learningRate: number
  /** Steps (not updates) over which the rate rises from 0. */
  readonly warmUpSteps: number
}

/** One line of metrics.jsonl. No clocks: the same run gives the same bytes. Rates in [0, 1], entropies and KL in nats. */
export interface StepMetrics extends Diagnostics, UpdateMetrics {
  /** From 1. */
  readonly step: number
}

export interface StepResult {
  readonly metrics: StepMetrics
  readonly rollouts: readonly Trajectory[]
  readonly continuations: readonly Trajectory[]
  /** Sampled, then left out by dynamic sampling: every rollout of their question had the same reward. */
  readonly dropped: readonly Trajectory[]
  /** Originals of every image seen, by hash. */
  readonly images: ReadonlyMap<string, RawImage>
  /** Seconds. */
  readonly sampleSeconds: number
  readonly learnSeconds: number
}

/** RL questions come from the train split, far from the indices that SFT used. */
const firstIndex = 10_000_000

export function learningRateAt(settings: RlSettings, step: number): number {
  return settings.learningRate * Math.min(1, (step + 1) / Math.max(1, settings.warmUpSteps))
}

/** Refills of dynamic sampling come from beyond all steps' questions. */
const firstRefill = 20_000_000

/** The tasks of a step by question index, each made once; from B on fresh ones. Families take turns. */
function stepTasks({ taskRow }: Trainer, settings: RlSettings, step: number): (question: number) => Task {
  const { questions, families, recipe, easyShare } = settings
  const refills = settingsOf(recipe).refillRounds * questions
  const tasks = new Map<number, Task>()
  const make = (question: number) => {
    const fresh = question >= questions
    const index = fresh ? step * refills + question - questions : step * questions + question
    if (taskRow) return taskRow(fresh ? firstRefill + index : index)
    const first = fresh ? firstRefill : firstIndex
    return suiteTask(loadQuestion(families[index % families.length]!, 'train', first + index, easyShare))
  }
  return (question) => {
    const task = tasks.get(question) ?? make(question)
    tasks.set(question, task)
    return task
  }
}

/** `step` counts from 0. */
export async function rlStep(trainer: Trainer, settings: RlSettings, step: number): Promise<StepResult> {
  const { recipe, seed } = settings
  const images = new Map<string, RawImage>()
  const setting = { ...trainer.agent, images }
  const began = performance.now()
  const key = { seed, step, questions: settings.questions }
  const taskOf = stepTasks(trainer, settings, step)
  const sampled: Trajectory[] = []
  const run = ({ question, sample, prefix }: SampleJob<Trajectory>) => ({
    task: taskOf(question),
    seed,
    step,
    question,
    sample,
    ...(prefix ? { prefix } : {}),
  })
  for (let jobs = planSampling(recipe, key, sampled); jobs.length > 0; jobs = planSampling(recipe, key, sampled))
    sampled.push(...(await rolloutMany(setting, jobs.map(run))))
  const settled = settleSampling(recipe, key, sampled)
  const { rollouts, plan, continuations, dropped } = settled
  const sampledAt = performance.now()
  const lossPlan = planLoss({ rollouts, plan, continuations, recipe, advantage: trainer.advantage })
  const learnt = await runUpdates({
    model: trainer.session.model,
    advantage: trainer.advantage,
    recipe,
    learningRate: learningRateAt(settings, step),
    step: step + 1,
    sampled: settled,
    lossPlan,
    images,
  })
  const metrics = {
    step: step + 1,
    ...diagnose({
      rollouts,
      plan,
      continuations,
      lossPlan,
      dropped,
      rewardThreshold: settingsOf(recipe).rewardThreshold,
    }),
    ...learnt,
  }
  const sampleSeconds = (sampledAt - began) / 1000
  return {
    metrics,
    rollouts,
    continuations,
    dropped,
    images,
    sampleSeconds,
    learnSeconds: (performance.now() - sampledAt) / 1000,
  }
}
