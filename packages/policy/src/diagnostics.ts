/** What a step reports about its rollouts (axpo-method section 9 of the project's notes; arXiv 2605.28774 sections 3 and 5). Pure: counts and means, no clocks. */
import { rankingAgreement } from './agreement.ts'
import { triggeredSources } from './forks.ts'
import { firstAct, groupByQuestion, type Rollout, type RolloutSegment } from './rollout.ts'
import type { ResamplePlan } from './selection.ts'
import type { LossPlan } from './weights.ts'

/** All rates in [0, 1]; null where nothing was there to count. Entropies in nats, lengths in sampled tokens. */
export interface Diagnostics {
  readonly reward: number | null
  readonly toolUseRate: number | null
  readonly allWrongToolRate: number | null
  readonly allWrongNoToolRate: number | null
  readonly accuracyWithTool: number | null
  readonly accuracyWithoutTool: number | null
  readonly triggeredQuestions: number
  readonly selectedPrefixes: number
  readonly extraRollouts: number
  readonly recoveryRate: number | null
  /** Over prefixes with a continuation that made a call. */
  readonly distinctCallsPerPrefix: number | null
  /** Those prefixes. Metrics of earlier versions lack it. */
  readonly calledPrefixes?: number
  /** Correlation of the ranking by mean probability with the one by exact entropy, over the step's calls. */
  readonly rankingPearson: number | null
  readonly rankingSpearman: number | null
  /** Calls that the two correlations are over: the first of each tool-using rollout. Metrics of earlier versions lack it. */
  readonly rankedCalls?: number
  readonly meanAdvantageOnCalls: number | null
  readonly entropyThinkNats: number | null
  readonly entropyActNats: number | null
  readonly entropyAnswerNats: number | null
  readonly responseTokens: number | null
  readonly toolErrors: Readonly<Record<string, number>>
}

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length

function cumulative(counts: readonly number[]): number[] {
  let total = 0
  return counts.map((n) => {
    total += n
    return total
  })
}

/** Share of the groups' subgroups (rollouts that pass `keep`) that are not empty and all wrong. */
function allWrongRate(rollouts: readonly Rollout[], threshold: number, keep: (r: Rollout) => boolean): number | null {
  const subgroups = [...groupByQuestion(rollouts).values()]
    .map((g) => g.map((i) => rollouts[i]!).filter(keep))
    .filter((g) => g.length > 0)
  return mean(subgroups.map((g) => (g.every((r) => r.reward < threshold) ? 1 : 0)))
}

function spanEntropy(rollouts: readonly Rollout[], kind: string): number | null {
  const values: number[] = []
  for (const r of rollouts)
    for (const s of r.segments) if (s.kind === kind) for (let i = s.start; i < s.end; i++) values.push(r.entropies[i]!)
  return mean(values)
}

/** The first call that a continuation made after its fork. */
function ownAct(c: Rollout): RolloutSegment | undefined {
  const forkToken = c.parent?.forkToken ?? 0
  return c.segments.find((s) => s.kind === 'act' && s.end > forkToken)
}

/** Distinct tool calls (canonical JSON, name and arguments) among the continuations of one prefix that made one; null where none did. */
export function distinctCalls(continuations: readonly Rollout[]): number | null {
  const acts = continuations.flatMap((c) => ownAct(c) ?? [])
  if (acts.length === 0) return null
  return new Set(acts.map(({ call }) => JSON.stringify([call?.name ?? null, call?.argumentsJson ?? null]))).size
}

/** Mean advantage that tool-call tokens are trained with, over rollouts and continuations. */
function advantageOnCalls(sequences: readonly Rollout[], weights: LossPlan['rollouts']): number[] {
  const values: number[] = []
  for (const [i, r] of sequences.entries()) {
    const { advantage, weights: w } = weights[i]!
    for (const s of r.segments)
      if (s.kind === 'act') for (let t = s.start; t < s.end; t++) if (w[t] !== 0) values.push(advantage)
  }
  return values
}

function toolErrors(rollouts: readonly Rollout[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const r of rollouts)
    for (const s of r.segments)
      if (s.call && s.call.status !== 'ok') counts[s.call.status] = (counts[s.call.status] ?? 0) + 1
  return counts
}

export interface DiagnosticsInput {
  readonly rollouts: readonly Rollout[]
  readonly plan: readonly ResamplePlan[]
  /** In plan order. */
  readonly continuations: readonly Rollout[]
  readonly lossPlan: LossPlan
  /** Rollouts sampled but not learnt from; they count in every rate of the policy. Default none. */
  readonly dropped?: readonly Rollout[]
  /** As the recipe's. Default 1. */
  readonly rewardThreshold?: number
}

export function diagnose(input: DiagnosticsInput): Diagnostics {
  const { plan, continuations, lossPlan, dropped = [], rewardThreshold = 1 } = input
  const rollouts = [...input.rollouts, ...dropped]
  const usesTool = (r: Rollout) => firstAct(r) !== undefined
  const tool = rollouts.filter(usesTool)
  const noTool = rollouts.filter((r) => !usesTool(r))
  const groups = [...groupByQuestion(rollouts).values()]
  const ends = cumulative(plan.map((p) => p.continuations))
  const distinct = plan
    .map((p, i) => distinctCalls(continuations.slice(ends[i]! - p.continuations, ends[i])))
    .filter((n) => n !== null)
  const agreement = rankingAgreement(tool)
  const rewards = (rs: readonly Rollout[]) => mean(rs.map((r) => r.reward))
  return {
    reward: rewards(rollouts),
    toolUseRate: mean(rollouts.map((r) => (usesTool(r) ? 1 : 0))),
    allWrongToolRate: allWrongRate(rollouts, rewardThreshold, usesTool),
    allWrongNoToolRate: allWrongRate(rollouts, rewardThreshold, (r) => !usesTool(r)),
    accuracyWithTool: rewards(tool),
    accuracyWithoutTool: rewards(noTool),
    triggeredQuestions: groups.filter((g) => triggeredSources(rollouts, g, rewardThreshold).length > 0).length,
    selectedPrefixes: plan.length,
    extraRollouts: continuations.length,
    recoveryRate: mean([...lossPlan.recovered]),
    distinctCallsPerPrefix: mean(distinct),
    calledPrefixes: distinct.length,
    rankingPearson: agreement.pearson,
    rankingSpearman: agreement.spearman,
    rankedCalls: agreement.calls,
    meanAdvantageOnCalls: mean([
      ...advantageOnCalls(input.rollouts, lossPlan.rollouts),
      ...advantageOnCalls(continuations, lossPlan.continuations),
    ]),
    entropyThinkNats: spanEntropy(rollouts, 'think'),
    entropyActNats: spanEntropy(rollouts, 'act'),
    entropyAnswerNats: spanEntropy(rollouts, 'answer'),
    responseTokens: mean(rollouts.map((r) => r.trainable.reduce((a, b) => a + b, 0))),
    toolErrors: toolErrors([...rollouts, ...continuations]),
  }
}
