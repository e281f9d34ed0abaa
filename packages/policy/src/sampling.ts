/**
 * What a step samples, as data: the trainer runs the jobs it is given and hands back the rollouts until there are no more. Every recipe's needs (more
 * rollouts, refills, forks) are jobs. Pure: the answer depends on the recipe, the key and what has been sampled. Not here: running a job.
 *
 * A step samples, in this order: N rollouts of each of B questions; refills of questions whose rollouts all got one reward (up to `refillRounds` times);
 * the continuations of the selected forks.
 */
import { type Recipe, settingsOf } from './recipe.ts'
import { groupByQuestion, type Rollout } from './rollout.ts'
import { type ResamplePlan, selectPrefixes } from './selection.ts'
import { shapedReward } from './weights.ts'

export interface StepKey {
  readonly seed: number
  /** From 0. */
  readonly step: number
  /** B, questions a step. */
  readonly questions: number
}

/** One rollout to run. */
export interface SampleJob<R extends Rollout> {
  /** Index of the question in the step: 0 .. B-1; from B on, fresh questions that replace uninformative ones. Becomes the rollout's `question`. */
  readonly question: number
  /** Index of the rollout in its group; 1000 and up for continuations, counted over the whole step. Becomes the rollout's `sample`. */
  readonly sample: number
  /** Continue this rollout from its first `tokenCount` tokens; null: from the question's prompt. The rollout's `parent` must say so. */
  readonly prefix: { readonly parent: R; readonly tokenCount: number } | null
}

/** A sampled step, ready for planLoss and diagnose. */
export interface SampledStep<R extends Rollout> {
  /** Rollouts to learn from; the plan's sources index them. */
  readonly rollouts: readonly R[]
  readonly plan: readonly ResamplePlan[]
  /** In plan order. */
  readonly continuations: readonly R[]
  /** Rollouts of questions that were replaced: paid for, not learnt from. */
  readonly dropped: readonly R[]
}

/** Whether a question's rollouts teach anything: their rewards are not all exactly equal. */
function informative(rollouts: readonly Rollout[], group: readonly number[], recipe: Recipe): boolean {
  const first = shapedReward(rollouts[group[0]!]!, recipe)
  return group.some((i) => shapedReward(rollouts[i]!, recipe) !== first)
}

function informativeQuestions(rollouts: readonly Rollout[], recipe: Recipe): number[] {
  return [...groupByQuestion(rollouts)].flatMap(([q, group]) => (informative(rollouts, group, recipe) ? [q] : []))
}

/** Questions sampled afresh, after each round the total so far: [B, B + first refill, ...]; only rounds that `sampled` decides, and the next one. */
function freshQuestions(recipe: Recipe, key: StepKey, sampled: readonly Rollout[]): number[] {
  const totals = [key.questions]
  const { refillRounds } = settingsOf(recipe)
  while (totals.length <= refillRounds) {
    const total = totals.at(-1)!
    if (sampled.length < total * recipe.rollouts) break
    const missing = key.questions - informativeQuestions(sampled.slice(0, total * recipe.rollouts), recipe).length
    if (missing <= 0) break
    totals.push(total + missing)
  }
  return totals
}

function rolloutJobs<R extends Rollout>(first: number, end: number, recipe: Recipe): SampleJob<R>[] {
  return Array.from({ length: (end - first) * recipe.rollouts }, (_, i) => ({
    question: first + Math.floor(i / recipe.rollouts),
    sample: i % recipe.rollouts,
    prefix: null,
  }))
}

/** Rollouts that are learnt from: with refills, those of the first B informative questions; all of them when no question is informative. */
function keep<R extends Rollout>(recipe: Recipe, key: StepKey, rollouts: readonly R[]): { kept: R[]; dropped: R[] } {
  const wanted =
    settingsOf(recipe).refillRounds > 0 ? informativeQuestions(rollouts, recipe).slice(0, key.questions) : []
  if (wanted.length === 0) return { kept: [...rollouts], dropped: [] }
  const kept = new Set(wanted)
  return {
    kept: rollouts.filter((r) => kept.has(r.question)),
    dropped: rollouts.filter((r) => !kept.has(r.question)),
  }
}

/**
 * The next jobs of a step, all of which may run at once; empty when the step is sampled. `sampled`: every rollout of the step so far, in the order of the jobs.
 */
export function planSampling<R extends Rollout>(recipe: Recipe, key: StepKey, sampled: readonly R[]): SampleJob<R>[] {
  const totals = freshQuestions(recipe, key, sampled)
  const fresh = totals.at(-1)! * recipe.rollouts
  if (sampled.length < fresh) return rolloutJobs(sampled.length / recipe.rollouts, totals.at(-1)!, recipe)
  if (sampled.length > fresh) return []
  const { kept } = keep(recipe, key, sampled)
  const plan = selectPrefixes(kept, recipe, key)
  return plan
    .flatMap((p) => Array<ResamplePlan>(p.continuations).fill(p))
    .map((p, i) => ({
      question: p.question,
      sample: 1000 + i,
      prefix: { parent: kept[p.source]!, tokenCount: p.prefixTokens },
    }))
}

/** The step that was sampled. `sampled` as in planSampling, after it returned no more jobs. */
export function settleSampling<R extends Rollout>(recipe: Recipe, key: StepKey, sampled: readonly R[]): SampledStep<R> {
  const fresh = freshQuestions(recipe, key, sampled).at(-1)! * recipe.rollouts
  if (sampled.length < fresh)
    throw new Error(
      `settleSampling: the step needs ${fresh} rollouts first, got ${sampled.length}. Run planSampling's jobs.`,
    )
  const { kept, dropped } = keep(recipe, key, sampled.slice(0, fresh))
  return { rollouts: kept, dropped, plan: selectPrefixes(kept, recipe, key), continuations: sampled.slice(fresh) }
}
