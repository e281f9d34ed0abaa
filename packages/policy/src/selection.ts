/**
 * Which prefixes to resample: trigger, ranking by uncertainty, breadth-first budget (axpo-method: section 3 of arXiv 2605.28774).
 * Pure: from finished rollouts to a plan. Not here: sampling the continuations, advantages (weights.ts).
 */
import type { Recipe } from './recipe.ts'
import { firstAct, groupByQuestion, prefixTokenCount, type Rollout } from './rollout.ts'

export interface Candidate {
  /** Index into the batch's rollouts. */
  readonly source: number
  readonly question: number
  /** Higher = resampled earlier. */
  readonly uncertainty: number
}

export interface ResamplePlan {
  readonly question: number
  /** Index of the source rollout in the batch. */
  readonly source: number
  /** Leading tokens of the source to keep: up to and including `<tool_call>`. */
  readonly prefixTokens: number
  readonly continuations: number
  readonly uncertainty: number
}

/** A question qualifies when it has tool-using rollouts and every one of them is wrong (reward 0). Returns their indices. */
export function triggeredSources(rollouts: readonly Rollout[], group: readonly number[]): number[] {
  const tool = group.filter((i) => firstAct(rollouts[i]!) !== undefined)
  return tool.every((i) => rollouts[i]!.reward === 0) ? tool : []
}

/** One uniform number in [0, 1) from a key, the same whatever else is ranked (splitmix64's mixer). */
function keyedUniform(...key: number[]): number {
  const mask = 0xffffffffffffffffn
  let z = 0x9e3779b97f4a7c15n
  for (const k of key) {
    z = (z + BigInt(k >>> 0) + 0x9e3779b97f4a7c15n) & mask
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask
    z ^= z >> 31n
  }
  return Number(z >> 11n) / 2 ** 53
}

/**
 * Uncertainty of a rollout's first tool call: minus the mean probability of its tokens (the whole serialised call, both tags; the paper's
 * proxy), their mean entropy in nats, or a keyed random number.
 */
export function uncertainty(
  rollout: Rollout,
  ranking: Recipe['ranking'],
  key: { readonly seed: number; readonly step: number },
): number {
  if (ranking === 'random') return keyedUniform(key.seed, key.step, rollout.question, rollout.sample)
  const act = firstAct(rollout)
  if (!act || act.end === act.start)
    throw new Error(`uncertainty: ${rollout.id} has no tool call. Rank tool-using rollouts only.`)
  let sum = 0
  for (let i = act.start; i < act.end; i++)
    sum += ranking === 'entropy' ? rollout.entropies[i]! : -Math.exp(rollout.logprobs[i]!)
  return sum / (act.end - act.start)
}

/** Prefixes the batch may resample: floor(budget * rollouts / K). */
export function prefixBudget(rolloutCount: number, recipe: Pick<Recipe, 'budget' | 'continuations'>): number {
  // 1e-9: 0.25 * 128 / 4 style products must not fall below their exact value
  return Math.floor((recipe.budget * rolloutCount) / recipe.continuations + 1e-9)
}

const mostUncertainFirst = (a: Candidate, b: Candidate): number => b.uncertainty - a.uncertainty || a.source - b.source

/** Breadth-first: every question's best candidate before any second one; within a round, most uncertain first. */
export function spendBreadthFirst(byQuestion: readonly (readonly Candidate[])[], budget: number): Candidate[] {
  const ranked = byQuestion.filter((c) => c.length > 0).map((c) => [...c].sort(mostUncertainFirst))
  ranked.sort((a, b) => mostUncertainFirst(a[0]!, b[0]!))
  const chosen: Candidate[] = []
  for (let round = 0; chosen.length < budget; round++) {
    const open = ranked.filter((c) => c.length > round)
    if (open.length === 0) break
    for (const candidates of open) if (chosen.length < budget) chosen.push(candidates[round]!)
  }
  return chosen
}

/** The resampling plan of a batch; empty with budget 0 or when no question qualifies. */
export function selectPrefixes(
  rollouts: readonly Rollout[],
  recipe: Recipe,
  key: { readonly seed: number; readonly step: number },
): ResamplePlan[] {
  const budget = prefixBudget(rollouts.length, recipe)
  if (budget === 0) return []
  const byQuestion = [...groupByQuestion(rollouts).values()].map((group) =>
    triggeredSources(rollouts, group).map(
      (source): Candidate => ({
        source,
        question: rollouts[source]!.question,
        uncertainty: uncertainty(rollouts[source]!, recipe.ranking, key),
      }),
    ),
  )
  return spendBreadthFirst(byQuestion, budget).map((c) => ({
    question: c.question,
    source: c.source,
    prefixTokens: prefixTokenCount(rollouts[c.source]!),
    continuations: recipe.continuations,
    uncertainty: c.uncertainty,
  }))
}
