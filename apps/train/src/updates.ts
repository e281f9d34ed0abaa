/**
 * The optimiser updates of one sampled step: one, or with `miniBatches` and `epochs` several, where the ratio of the policy to the one that sampled leaves 1 and clips act. The
 * old log-probabilities are the sampler's, which the learner's equal to the bit at the first update. Not here: sampling and advantages (rl-step.ts, @axpo/policy).
 */
import type { Advantage } from '@axpo/advantage'
import type { Learner, Model, TrainBatch, TrainSequence } from '@axpo/model'
import {
  type LossPlan,
  planLoss,
  type Recipe,
  type SampledStep,
  type SequenceLoss,
  type SequenceWeights,
  type StepPart,
  sequenceLoss,
  settingsOf,
  splitMiniBatches,
} from '@axpo/policy'
import type { RawImage, Trajectory } from '@axpo/trajectory'

/** What metrics.jsonl says of the learning. With several updates: means over them, tokens weighted alike. */
export interface UpdateMetrics {
  readonly loss: number
  readonly gradientNorm: number
  readonly learningRate: number
  /** Share of trained tokens where a clip took the gradient (CISPO: bounded the weight). Always 0 with one update a step: the ratio is 1. */
  readonly clipFraction: number
  /** Mean k3 estimate of KL(policy || SFT model) over trained tokens; null where the recipe does not weigh it: the SFT model is not asked then. */
  readonly klNats: number | null
  readonly trainedTokens: number
  /** Largest |sampler's - learner's log-probability| over trained tokens of the first update: 0 when both agree to the bit. */
  readonly samplerGapNats: number
  /** The following with several updates only: how many; */
  readonly updates?: number
  /** mean and largest ratio that the clip saw over trained tokens (GSPO: the sequence's); */
  readonly ratioMean?: number
  readonly ratioMax?: number
  /** mean k3 estimate of KL(policy that sampled || policy). */
  readonly oldKlNats?: number
}

export interface UpdateInput {
  readonly model: Model
  readonly advantage: Advantage
  readonly recipe: Recipe
  /** Constant over the step. */
  readonly learningRate: number
  /** From 1, for messages. */
  readonly step: number
  readonly sampled: SampledStep<Trajectory>
  /** Of the whole step. */
  readonly lossPlan: LossPlan
  /** Originals of every image, by hash. */
  readonly images: ReadonlyMap<string, RawImage>
}

/** Throws where a step has too few questions for the recipe's mini-batches. */
export function checkMiniBatches(recipe: Recipe, questions: number): void {
  const { miniBatches } = settingsOf(recipe)
  if (miniBatches > questions)
    throw new Error(
      `recipe ${recipe.name}: miniBatches must be at most the questions of a step, got ${miniBatches} for ${questions}. Give more --questions, or fewer miniBatches.`,
    )
}

/** What one update learns from. */
interface Part {
  readonly trajectories: readonly Trajectory[]
  readonly weights: readonly SequenceWeights[]
  readonly sequences: readonly TrainSequence[]
  readonly batch: TrainBatch
  /** Under the reference model [T] each; null without a KL term. */
  readonly reference: readonly Float32Array[] | null
}

/** One update's losses and gradient norm. */
interface Update {
  readonly losses: readonly SequenceLoss[]
  readonly gradientNorm: number
}

/** Sampler and learner agree to the bit on one device; anything else means other weights or a fault in a kernel. */
const gapLimitNats = 0

/** `weights` mark what is trained; the learner computes log-probabilities exactly there. */
function trainSequence(t: Trajectory, weights: Float32Array, images: ReadonlyMap<string, RawImage>): TrainSequence {
  return {
    tokens: t.tokens,
    images: t.images.map(({ sha256 }) => ({ sha256, image: images.get(sha256)! })),
    selected: Uint8Array.from(weights, (w) => (w === 0 ? 0 : 1)),
  }
}

async function preparePart(input: UpdateInput, part: StepPart<Trajectory>, plan: LossPlan): Promise<Part> {
  const { model, recipe, images } = input
  const trajectories = [...part.rollouts, ...part.continuations]
  const weights = [...plan.rollouts, ...plan.continuations]
  const sequences = trajectories.map((t, i) => trainSequence(t, weights[i]!.weights, images))
  const reference = recipe.klWeight > 0 ? (await model.scoreReference(sequences)).logprobs : null
  return { trajectories, weights, sequences, batch: model.learner.pack(sequences), reference }
}

/** The mini-batches in order. A part is weighed as a step of its own, so that its means are over itself. */
async function prepareParts(input: UpdateInput): Promise<Part[]> {
  const { recipe, advantage, sampled, lossPlan } = input
  const parts = splitMiniBatches(sampled, settingsOf(recipe).miniBatches)
  const prepared: Part[] = []
  for (const part of parts)
    prepared.push(
      await preparePart(input, part, parts.length === 1 ? lossPlan : planLoss({ ...part, recipe, advantage })),
    )
  return prepared
}

function samplerGap({ trajectories, weights }: Part, got: readonly Float32Array[]): number {
  let gap = 0
  for (const [i, t] of trajectories.entries())
    for (const [p, w] of weights[i]!.weights.entries())
      if (w !== 0) gap = Math.max(gap, Math.abs(t.logprobs[p]! - got[i]![p]!))
  return gap
}

const lossOf = (recipe: Recipe, part: Part, i: number, logp: Float32Array, entropies: Float32Array): SequenceLoss =>
  sequenceLoss(part.weights[i]!, recipe, logp, part.trajectories[i]!.logprobs, part.reference?.[i] ?? null, entropies)

const entropyGradients = (losses: readonly SequenceLoss[]): Float32Array[] | undefined =>
  losses.some((l) => l.dLossDEntropy) ? losses.map((l) => l.dLossDEntropy!) : undefined

/** On the policy that sampled: the ratio is 1, so that the gradient is known before the forward pass. */
async function firstBackward(
  learner: Learner,
  recipe: Recipe,
  part: Part,
): Promise<{ losses: SequenceLoss[]; gap: number }> {
  const losses = part.trajectories.map((t, i) => lossOf(recipe, part, i, t.logprobs, t.entropies))
  const scores = await learner.backward(
    part.batch,
    losses.map((l) => l.dLossDLogp),
    entropyGradients(losses),
  )
  return { losses, gap: samplerGap(part, scores.logprobs) }
}

/** Sequences whose tokens a micro-batch holds: all of a sequence's trained tokens lie in one. */
const members = (micro: TrainBatch['microBatches'][number]): Set<number> =>
  new Set(micro.uses.filter((_, i) => i % 3 === 0))

/** Off the policy that sampled: each micro-batch forward, then backward while its activations are there. */
async function laterBackward(learner: Learner, recipe: Recipe, part: Part): Promise<SequenceLoss[]> {
  // a sequence without a trained token is in no micro-batch, and its loss is of no token
  const losses = part.trajectories.map((t, i) => lossOf(recipe, part, i, t.logprobs, t.entropies))
  const none = part.trajectories.map((t) => new Float32Array(t.tokens.length))
  for (const micro of part.batch.microBatches) {
    const own = { ...part.batch, microBatches: [micro] }
    const scores = await learner.forward(own)
    const held = members(micro)
    for (const i of held) losses[i] = lossOf(recipe, part, i, scores.logprobs[i]!, scores.entropies[i]!)
    const gradients = (all: readonly Float32Array[]) => all.map((g, i) => (held.has(i) ? g : none[i]!))
    const entropies = entropyGradients(losses)
    await learner.backward(own, gradients(losses.map((l) => l.dLossDLogp)), entropies && gradients(entropies))
  }
  return losses
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

function metricsOf(input: UpdateInput, updates: readonly Update[], gap: number): UpdateMetrics {
  const sums = updates.map(
    ({ losses }) =>
      (f: (l: SequenceLoss) => number) =>
        losses.reduce((n, l) => n + f(l), 0),
  )
  const sum = (f: (l: SequenceLoss) => number) => sums.reduce((n, of) => n + of(f), 0)
  const tokens = Math.max(
    1,
    sum((l) => l.tokens),
  )
  const one: UpdateMetrics = {
    loss: mean(sums.map((of) => of((l) => l.loss))),
    gradientNorm: mean(updates.map((u) => u.gradientNorm)),
    learningRate: input.learningRate,
    clipFraction: sum((l) => l.clipped) / tokens,
    klNats: input.recipe.klWeight > 0 ? sum((l) => l.klSum) / tokens : null,
    trainedTokens: input.lossPlan.trainedTokens,
    samplerGapNats: gap,
  }
  if (updates.length === 1) return one
  return {
    ...one,
    updates: updates.length,
    ratioMean: sum((l) => l.ratioSum) / tokens,
    ratioMax: updates.reduce((most, u) => u.losses.reduce((m, l) => Math.max(m, l.ratioMax), most), 0),
    oldKlNats: sum((l) => l.oldKlSum) / tokens,
  }
}

export async function runUpdates(input: UpdateInput): Promise<UpdateMetrics> {
  const { model, recipe, learningRate, step } = input
  const { learner } = model
  const parts = await prepareParts(input)
  const updates: Update[] = []
  let gap = 0
  for (let epoch = 0; epoch < settingsOf(recipe).epochs; epoch++)
    for (const part of parts) {
      let losses: readonly SequenceLoss[]
      if (updates.length === 0) {
        const first = await firstBackward(learner, recipe, part)
        losses = first.losses
        gap = first.gap
        if (!(gap <= gapLimitNats))
          throw new Error(
            `train: step ${step}: the learner's log-probabilities must be the sampler's, got a gap of ${gap} nats. The two do not run the same weights; resume from the last checkpoint and report it.`,
          )
      } else losses = await laterBackward(learner, recipe, part)
      updates.push({ losses, gradientNorm: (await learner.step(learningRate)).gradientNorm })
    }
  return metricsOf(input, updates, gap)
}
