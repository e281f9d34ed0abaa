/**
 * One step of reinforcement learning, the whole algorithm on one page: sample, select prefixes, resample, weigh, backward, step (arXiv 2605.28774, section 3).
 * GRPO is the recipe with budget 0. Not here: files, evaluation, the loop.
 */
import type { Advantage } from '@axpo/advantage'
import { type RolloutSetting, rolloutMany, type Task } from '@axpo/agent'
import { type Session, suiteTask } from '@axpo/eval'
import type { TrainSequence } from '@axpo/model'
import {
  type Diagnostics,
  diagnose,
  type LossPlan,
  planLoss,
  planSampling,
  type Recipe,
  type SampleJob,
  type SequenceLoss,
  sequenceLoss,
  settingsOf,
  settleSampling,
} from '@axpo/policy'
import { type Family, loadQuestion } from '@axpo/tasks'
import type { RawImage, Trajectory } from '@axpo/trajectory'

/** What a step works with; the setting's `images` is replaced by the step's own. */
export interface Trainer {
  readonly session: Session
  readonly agent: RolloutSetting
  readonly advantage: Advantage
  /** A user's train questions by number, instead of the suite's (createTaskRow). */
  readonly taskRow?: (index: number) => Task
}

export interface RlSettings {
  readonly recipe: Recipe
  readonly seed: number
  readonly steps: number
  /** B, questions a step. */
  readonly questions: number
  /** s: share of items that need no tool. */
  readonly easyShare: number
  readonly families: readonly Family[]
  /** A user's task file (JSONL) whose train split is trained on, instead of the suite. */
  readonly tasks?: string
  /** Peak learning rate of AdamW. */
  readonly learningRate: number
  /** Steps over which the rate rises from 0. */
  readonly warmUpSteps: number
}

/** One line of metrics.jsonl. No clocks: the same run gives the same bytes. Rates in [0, 1], entropies and KL in nats. */
export interface StepMetrics extends Diagnostics {
  /** From 1. */
  readonly step: number
  readonly loss: number
  readonly gradientNorm: number
  readonly learningRate: number
  /** Always 0 with one update a batch: the ratio is 1. */
  readonly clipFraction: number
  /** Mean k3 estimate of KL(policy || SFT model) over trained tokens. */
  readonly klNats: number
  readonly trainedTokens: number
  /** Largest |sampler's - learner's log-probability| over trained tokens: 0 when both agree to the bit. */
  readonly samplerGapNats: number
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

/** Sampler and learner agree to the bit on one device; anything else means other weights or a fault in a kernel. */
const gapLimitNats = 0

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

/** `weights` mark what is trained; the learner computes log-probabilities exactly there. */
function trainSequence(t: Trajectory, weights: Float32Array, images: ReadonlyMap<string, RawImage>): TrainSequence {
  return {
    tokens: t.tokens,
    images: t.images.map(({ sha256 }) => ({ sha256, image: images.get(sha256)! })),
    selected: Uint8Array.from(weights, (w) => (w === 0 ? 0 : 1)),
  }
}

function samplerGap(
  all: readonly Trajectory[],
  plan: readonly { weights: Float32Array }[],
  got: readonly Float32Array[],
) {
  let gap = 0
  for (const [i, t] of all.entries())
    for (const [p, w] of plan[i]!.weights.entries())
      if (w !== 0) gap = Math.max(gap, Math.abs(t.logprobs[p]! - got[i]![p]!))
  return gap
}

async function learn(
  session: Session,
  settings: RlSettings,
  step: number,
  all: readonly Trajectory[],
  lossPlan: LossPlan,
  images: ReadonlyMap<string, RawImage>,
) {
  const { recipe } = settings
  const { learner } = session.model
  const plan = [...lossPlan.rollouts, ...lossPlan.continuations]
  const sequences = all.map((t, i) => trainSequence(t, plan[i]!.weights, images))
  const reference = recipe.klWeight > 0 ? (await session.model.scoreReference(sequences)).logprobs : null
  // one update a step: the policy that sampled is the policy that learns, so the ratio is 1 and the gradient is known before the forward pass
  const losses: SequenceLoss[] = all.map((t, i) =>
    sequenceLoss(plan[i]!, recipe, t.logprobs, t.logprobs, reference?.[i] ?? null),
  )
  const scores = await learner.backward(
    learner.pack(sequences),
    losses.map((l) => l.dLossDLogp),
  )
  const gap = samplerGap(all, plan, scores.logprobs)
  if (!(gap <= gapLimitNats))
    throw new Error(
      `train: step ${step + 1}: the learner's log-probabilities must be the sampler's, got a gap of ${gap} nats. The two do not run the same weights; resume from the last checkpoint and report it.`,
    )
  const learningRate = learningRateAt(settings, step)
  const { gradientNorm } = await learner.step(learningRate)
  const sum = (f: (l: SequenceLoss) => number) => losses.reduce((n, l) => n + f(l), 0)
  const tokens = Math.max(
    1,
    sum((l) => l.tokens),
  )
  return {
    loss: sum((l) => l.loss),
    gradientNorm,
    learningRate,
    clipFraction: sum((l) => l.clipped) / tokens,
    klNats: sum((l) => l.klSum) / tokens,
    trainedTokens: lossPlan.trainedTokens,
    samplerGapNats: gap,
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
  const { rollouts, plan, continuations, dropped } = settleSampling(recipe, key, sampled)
  const sampledAt = performance.now()
  const lossPlan = planLoss({ rollouts, plan, continuations, recipe, advantage: trainer.advantage })
  const learnt = await learn(trainer.session, settings, step, [...rollouts, ...continuations], lossPlan, images)
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
