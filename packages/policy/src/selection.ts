/**
 * Which forks to resample, and how often: candidates, ranking by uncertainty, breadth-first budget (arXiv 2605.28774, section 3). Where a fork may lie is
 * forks.ts. Pure: from finished rollouts to a plan. Not here: sampling the continuations (sampling.ts), advantages (weights.ts).
 */
import { type Fork, forksOf } from './forks.ts'
import { type Recipe, settingsOf } from './recipe.ts'
import { groupByQuestion, type Rollout } from './rollout.ts'

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
  /** Leading tokens of the source to keep: up to and including `<tool_call>` for AXPO. */
  readonly prefixTokens: number
  readonly continuations: number
  readonly uncertainty: number
}

/** Prefixes the batch may resample: floor(budget * rollouts / K). */
export function prefixBudget(rolloutCount: number, recipe: Pick<Recipe, 'budget' | 'continuations'>): number {
  // 1e-9: 0.25 * 128 / 4 style products must not fall below their exact value
  return Math.floor((recipe.budget * rolloutCount) / recipe.continuations + 1e-9)
}

/**
 * Continuations of each fork, most uncertain first, never more than `prefixes` * K together. Plain: K each. Adaptive: the same total spread evenly over all forks
 * there are, between 2 (one alone has nothing to be compared with) and 2 K.
 */
export function allotContinuations(
  forkCount: number,
  prefixes: number,
  recipe: Pick<Recipe, 'continuations' | 'adaptiveContinuations'>,
): number[] {
  const k = recipe.continuations
  if (!recipe.adaptiveContinuations) return Array<number>(Math.min(forkCount, prefixes)).fill(k)
  const total = prefixes * k
  const forks = Math.min(forkCount, Math.floor(total / Math.min(2, k)))
  if (forks === 0) return []
  const each = Math.min(2 * k, Math.floor(total / forks))
  const spare = each === 2 * k ? 0 : total - each * forks
  return Array.from({ length: forks }, (_, i) => each + (i < spare ? 1 : 0))
}

const mostUncertainFirst = (a: Candidate, b: Candidate): number => b.uncertainty - a.uncertainty || a.source - b.source

/**
 * Breadth-first: every question's best candidate before any second one, and so on. The order of the questions is the same in every round: that of their best
 * candidates, most uncertain first, or the one they come in.
 */
export function spendBreadthFirst<C extends Candidate>(
  byQuestion: readonly (readonly C[])[],
  budget: number,
  order: Required<Recipe>['questionOrder'] = 'uncertainty',
): C[] {
  const ranked = byQuestion.filter((c) => c.length > 0).map((c) => [...c].sort(mostUncertainFirst))
  if (order === 'uncertainty') ranked.sort((a, b) => mostUncertainFirst(a[0]!, b[0]!))
  const chosen: C[] = []
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
  const settings = settingsOf(recipe)
  const byQuestion: Fork[][] = [...groupByQuestion(rollouts).values()].map((group) =>
    forksOf(rollouts, group, settings, key),
  )
  const continuations = allotContinuations(byQuestion.flat().length, budget, recipe)
  return spendBreadthFirst(byQuestion, continuations.length, settings.questionOrder).map(
    ({ question, source, prefixTokens, uncertainty }, i): ResamplePlan => ({
      question,
      source,
      prefixTokens,
      continuations: continuations[i]!,
      uncertainty,
    }),
  )
}
