/**
 * Per-token advantages and weights of a step: AXPO's two streams (Eq. 2-4), and aggregation (Eq. 5 and 6). The loss is then a plain sum over tokens.
 * Not here: the advantage arithmetic itself (@axpo/advantage), ratios and clipping (loss.ts).
 *
 * Legend. A sequence is a rollout or a continuation; arrays are per token of its whole context.
 */
import type { Advantage, AdvantageOptions } from '@axpo/advantage'
import { type Recipe, settingsOf } from './recipe.ts'
import { firstAct, groupByQuestion, promptTokenCount, type Rollout } from './rollout.ts'
import type { ResamplePlan } from './selection.ts'

export interface SequenceWeights {
  /** Advantage of every trained token of this sequence. */
  readonly advantage: number
  /** Trained tokens [start, end) filtered by `trainable`: a split source only its prefix, a continuation only its own tokens, a branch all. */
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
}

/** Joint groups: continuations join their question's group; one normalisation over both. With prefix credit a source counts for its prefix what Eq. 3 gives it, one source at a time. */
function jointStreams(
  input: LossInput,
  { substitutes }: Recovery,
  options: AdvantageOptions,
  separate: Streams,
): Streams {
  const { rollouts, plan, continuations, recipe, advantage } = input
  const joint = {
    rollouts: separate.rollouts.slice(),
    continuations: separate.continuations.slice(),
    prefixes: separate.prefixes.slice(),
  }
  const planOf = plan.flatMap((p, index) => Array.from({ length: p.continuations }, () => index))
  for (const [question, group] of groupByQuestion(rollouts)) {
    const own = planOf.flatMap((p, k) => (plan[p]!.question === question ? [k] : []))
    if (own.length === 0) continue
    const rewards = [
      ...group.map((i) => shapedReward(rollouts[i]!, recipe)),
      ...own.map((k) => shapedReward(continuations[k]!, recipe)),
    ]
    const groupValues = (of: readonly number[]) => advantage.group(of, [0, of.length], options)
    const values = groupValues(rewards)
    for (const [j, i] of group.entries()) joint.rollouts[i] = values[j]!
    for (const [j, k] of own.entries()) joint.continuations[k] = values[group.length + j]!
    for (const [p, { source, question: asked }] of plan.entries()) {
      if (asked !== question) continue
      const at = group.indexOf(source)
      joint.prefixes[p] = recipe.prefixCredit ? groupValues(rewards.with(at, substitutes[p]!))[at]! : values[at]!
    }
  }
  return joint
}

interface Recovery {
  /** Eq. 3: 1 where a continuation of the prefix is right. */
  readonly recovered: Float64Array
  /** Reward in the source's place: its best continuation's where one is right, else the source's own. With rewards of 0 and 1 this is Eq. 3. */
  readonly substitutes: Float64Array
}

function recoveryOf({ rollouts, plan, continuations, recipe }: LossInput, offsets: readonly number[]): Recovery {
  const { rewardThreshold } = settingsOf(recipe)
  const best = plan.map((_, p) => Math.max(...continuations.slice(offsets[p], offsets[p + 1]).map((c) => c.reward)))
  return {
    recovered: Float64Array.from(best, (r) => (r >= rewardThreshold ? 1 : 0)),
    substitutes: Float64Array.from(plan, (p, i) =>
      best[i]! >= rewardThreshold ? best[i]! : rollouts[p.source]!.reward,
    ),
  }
}

function streamsOf(input: LossInput, recovery: Recovery, continuationOffsets: readonly number[]): Streams {
  const { rollouts, plan, continuations, recipe, advantage } = input
  const options: AdvantageOptions = { ddof: recipe.ddof, epsilon: recipe.epsilon, scale: recipe.scale }
  // rollouts reordered so that groups are contiguous, then put back
  const order = [...groupByQuestion(rollouts).values()]
  const flat = order.flat()
  const position = new Map(flat.map((i, at) => [i, at]))
  const values = advantage.axpo(
    {
      rewards: flat.map((i) => shapedReward(rollouts[i]!, recipe)),
      offsets: offsetsOf(order.map((group) => group.length)),
      sources: plan.map((p) => position.get(p.source)!),
      continuationRewards: continuations.map((c) => c.reward),
      continuationOffsets,
      substitutes: recovery.substitutes,
    },
    options,
  )
  const ordinary = Float64Array.from(rollouts, (_, i) => values.rollouts[position.get(i)!]!)
  const prefixes = recipe.prefixCredit ? values.prefixes : Float64Array.from(plan, (p) => ordinary[p.source]!)
  const streams = { rollouts: ordinary, continuations: values.continuations, prefixes }
  return recipe.separateGroups ? streams : jointStreams(input, recovery, options, streams)
}

function offsetsOf(counts: readonly number[]): number[] {
  const offsets = [0]
  for (const count of counts) offsets.push(offsets.at(-1)! + count)
  return offsets
}

interface Spans {
  readonly rollouts: readonly Span[]
  readonly continuations: readonly Span[]
  /** Sources of which only the prefix is trained. */
  readonly split: ReadonlyMap<number, number>
}

/**
 * Spans that are trained. A fork splits its source: the source trains the prefix, the continuations what follows. Not split: the source of a branch (forkAt
 * observation), which stays a rollout like its branches, and one of which nothing sampled was kept (forkAt prompt).
 */
function spansOf(input: LossInput, streams: Streams): Spans {
  const { rollouts, plan, continuations } = input
  const branches = settingsOf(input.recipe).forkAt === 'observation'
  const split = new Map<number, number>()
  for (const [index, p] of plan.entries())
    if (!branches && p.prefixTokens > promptTokenCount(rollouts[p.source]!)) split.set(p.source, index)
  return {
    split,
    rollouts: rollouts.map((r, i): Span => {
      const p = split.get(i)
      return p === undefined
        ? { advantage: streams.rollouts[i]!, start: 0, end: r.tokens.length }
        : { advantage: streams.prefixes[p]!, start: 0, end: plan[p]!.prefixTokens }
    }),
    continuations: continuations.map(
      (c, k): Span => ({
        advantage: streams.continuations[k]!,
        start: branches ? 0 : c.parent!.forkToken,
        end: c.tokens.length,
      }),
    ),
  }
}

type TokenWeight = (question: number, tokens: number, selected: boolean) => number

/** Weight of one trained token of a sequence with so many trained tokens. `selected`: part of a selected prefix's L_AXPO (Eq. 5). */
function tokenWeights(input: LossInput, total: number): TokenWeight {
  const { rollouts, plan, recipe } = input
  const { forkAt, constantLength, prefixWeight } = settingsOf(recipe)
  const share = (selected: boolean) => (selected ? prefixWeight : 1)
  const groups = groupByQuestion(rollouts)
  const members = new Map([...groups].map(([question, group]) => [question, group.length]))
  // branches are members of the group; continuations come on top of it (Eq. 5)
  if (forkAt === 'observation')
    for (const p of plan) members.set(p.question, members.get(p.question)! + p.continuations)
  if (recipe.aggregation === 'token-sum') return (_question, _tokens, selected) => share(selected)
  if (recipe.aggregation === 'token-mean') return (_question, _tokens, selected) => share(selected) / Math.max(1, total)
  const length = (tokens: number) => constantLength || Math.max(1, tokens)
  return (question, tokens, selected) => share(selected) / (groups.size * (members.get(question) ?? 1) * length(tokens))
}

/** Everything the loss needs that does not depend on the current weights. */
export function planLoss(input: LossInput): LossPlan {
  checkInput(input)
  const { rollouts, plan, continuations } = input
  const continuationOffsets = offsetsOf(plan.map((p) => p.continuations))
  const recovery = recoveryOf(input, continuationOffsets)
  const spans = spansOf(input, streamsOf(input, recovery, continuationOffsets))
  const counts = rollouts.map((r, i) => trainedTokens(r, spans.rollouts[i]!))
  const ownCounts = continuations.map((c, k) => trainedTokens(c, spans.continuations[k]!))
  const total = [...counts, ...ownCounts].reduce((a, b) => a + b, 0)
  const weight = tokenWeights(input, total)
  return {
    rollouts: rollouts.map((r, i) => weigh(r, spans.rollouts[i]!, weight(r.question, counts[i]!, spans.split.has(i)))),
    continuations: continuations.map((c, k) =>
      weigh(c, spans.continuations[k]!, weight(c.question, ownCounts[k]!, true)),
    ),
    recovered: recovery.recovered,
    trainedTokens: total,
  }
}
