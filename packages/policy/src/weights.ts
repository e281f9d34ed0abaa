/**
 * Per-token advantages and weights of a step: AXPO's two streams (Eq. 2-4) and the aggregation of Eq. 5 and 6. The loss is then a plain sum over tokens.
 * Not here: the advantage arithmetic itself (@axpo/advantage), ratios and clipping (loss.ts).
 *
 * Legend. A sequence is a rollout or a continuation; arrays are per token of its whole context.
 */
import type { Advantage, AdvantageOptions } from '@axpo/advantage'
import type { Recipe } from './recipe.ts'
import { firstAct, groupByQuestion, type Rollout } from './rollout.ts'
import type { ResamplePlan } from './selection.ts'

export interface SequenceWeights {
  /** Advantage of every trained token of this sequence. */
  readonly advantage: number
  /** Trained tokens [start, end) filtered by `trainable`: a selected source only its prefix, a continuation only its own tokens. */
  readonly start: number
  readonly end: number
  /** Weight of each trained token in the loss sum; 0 elsewhere [T]. */
  readonly weights: Float32Array
}

export interface LossPlan {
  readonly rollouts: readonly SequenceWeights[]
  /** In the order of the plan: prefix 0's continuations, prefix 1's, … */
  readonly continuations: readonly SequenceWeights[]
  /** Eq. 3, a selected prefix [P]. */
  readonly recovered: Float64Array
  readonly trainedTokens: number
}

export interface LossInput {
  readonly rollouts: readonly Rollout[]
  readonly plan: readonly ResamplePlan[]
  readonly continuations: readonly Rollout[]
  readonly recipe: Recipe
  readonly advantage: Advantage
}

/** Reward the advantages are computed from: the outcome, plus the recipe's tool bonus where a tool was used. */
export function shapedReward(rollout: Rollout, recipe: Recipe): number {
  return recipe.toolBonus !== 0 && firstAct(rollout) ? rollout.reward + recipe.toolBonus : rollout.reward
}

function checkInput({ rollouts, plan, continuations }: LossInput): void {
  const expected = plan.reduce((n, p) => n + p.continuations, 0)
  if (continuations.length !== expected)
    throw new Error(
      `planLoss: the plan asks for ${expected} continuations, got ${continuations.length}. Pass them in plan order.`,
    )
  let k = 0
  for (const p of plan) {
    const source = rollouts[p.source]
    if (!source) throw new Error(`planLoss: plan names source ${p.source} of ${rollouts.length} rollouts.`)
    for (let end = k + p.continuations; k < end; k++) {
      const parent = continuations[k]!.parent
      if (parent?.id !== source.id || parent.forkToken !== p.prefixTokens)
        throw new Error(
          `planLoss: continuation ${k} must fork ${source.id} at ${p.prefixTokens}, got ${parent?.id} at ${parent?.forkToken}.`,
        )
    }
  }
}

interface Span {
  readonly advantage: number
  readonly start: number
  readonly end: number
}

function trainedTokens(rollout: Rollout, span: Span): number {
  let n = 0
  for (let i = span.start; i < span.end; i++) n += rollout.trainable[i]!
  return n
}

function weigh(rollout: Rollout, span: Span, weight: number): SequenceWeights {
  const weights = new Float32Array(rollout.tokens.length)
  for (let i = span.start; i < span.end; i++) if (rollout.trainable[i] === 1) weights[i] = weight
  return { ...span, weights }
}

interface Streams {
  readonly rollouts: Float64Array
  readonly continuations: Float64Array
  readonly prefixes: Float64Array
  readonly recovered: Float64Array
}

/** Ablation: continuations join their question's group; one normalisation over both. */
function jointStreams(input: LossInput, options: AdvantageOptions, separate: Streams): Streams {
  const { rollouts, plan, continuations, recipe, advantage } = input
  const joint = {
    rollouts: separate.rollouts.slice(),
    continuations: separate.continuations.slice(),
    prefixes: separate.prefixes.slice(),
    recovered: separate.recovered,
  }
  const planOf = plan.flatMap((p, index) => Array.from({ length: p.continuations }, () => index))
  for (const [question, group] of groupByQuestion(rollouts)) {
    const own = planOf.flatMap((p, k) => (plan[p]!.question === question ? [k] : []))
    if (own.length === 0) continue
    const rewards = [
      ...group.map((i) => shapedReward(rollouts[i]!, recipe)),
      ...own.map((k) => shapedReward(continuations[k]!, recipe)),
    ]
    const values = advantage.group(rewards, [0, rewards.length], options)
    for (const [j, i] of group.entries()) joint.rollouts[i] = values[j]!
    for (const [j, k] of own.entries()) joint.continuations[k] = values[group.length + j]!
    for (const [p, entry] of plan.entries())
      if (entry.question === question) joint.prefixes[p] = joint.rollouts[entry.source]!
  }
  return joint
}

function streamsOf(input: LossInput): Streams {
  const { rollouts, plan, continuations, recipe, advantage } = input
  const options: AdvantageOptions = { ddof: recipe.ddof, epsilon: recipe.epsilon, scale: recipe.scale }
  // rollouts reordered so that groups are contiguous, then put back
  const order = [...groupByQuestion(rollouts).values()]
  const flat = order.flat()
  const position = new Map(flat.map((i, at) => [i, at]))
  const offsets = [0]
  for (const group of order) offsets.push(offsets.at(-1)! + group.length)
  const continuationOffsets = [0]
  for (const p of plan) continuationOffsets.push(continuationOffsets.at(-1)! + p.continuations)
  const values = advantage.axpo(
    {
      rewards: flat.map((i) => shapedReward(rollouts[i]!, recipe)),
      offsets,
      sources: plan.map((p) => position.get(p.source)!),
      continuationRewards: continuations.map((c) => c.reward),
      continuationOffsets,
    },
    options,
  )
  const ordinary = Float64Array.from(rollouts, (_, i) => values.rollouts[position.get(i)!]!)
  const prefixes = recipe.prefixCredit ? values.prefixes : Float64Array.from(plan, (p) => ordinary[p.source]!)
  const streams = { rollouts: ordinary, continuations: values.continuations, prefixes, recovered: values.recovered }
  return recipe.separateGroups ? streams : jointStreams(input, options, streams)
}

/** Everything the loss needs that does not depend on the current weights. */
export function planLoss(input: LossInput): LossPlan {
  checkInput(input)
  const { rollouts, plan, continuations, recipe } = input
  const streams = streamsOf(input)
  const selected = new Map(plan.map((p, index) => [p.source, index]))
  const spans = rollouts.map((r, i): Span => {
    const p = selected.get(i)
    return p === undefined
      ? { advantage: streams.rollouts[i]!, start: 0, end: r.tokens.length }
      : { advantage: streams.prefixes[p]!, start: 0, end: plan[p]!.prefixTokens }
  })
  const own = continuations.map(
    (c, k): Span => ({ advantage: streams.continuations[k]!, start: c.parent!.forkToken, end: c.tokens.length }),
  )
  const counts = rollouts.map((r, i) => trainedTokens(r, spans[i]!))
  const ownCounts = continuations.map((c, k) => trainedTokens(c, own[k]!))
  const total = [...counts, ...ownCounts].reduce((a, b) => a + b, 0)
  const groups = groupByQuestion(rollouts)
  const perSequence = (question: number, tokens: number): number =>
    recipe.aggregation === 'token-mean'
      ? 1 / Math.max(1, total)
      : 1 / (groups.size * (groups.get(question)?.length ?? 1) * Math.max(1, tokens))
  return {
    rollouts: rollouts.map((r, i) => weigh(r, spans[i]!, perSequence(r.question, counts[i]!))),
    continuations: continuations.map((c, k) => weigh(c, own[k]!, perSequence(c.question, ownCounts[k]!))),
    recovered: streams.recovered,
    trainedTokens: total,
  }
}
