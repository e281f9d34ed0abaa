/**
 * Splits a sampled step into the parts that its optimiser updates learn from, by question: a question's rollouts, sources and continuations stay together, so that every
 * group and both advantage streams are whole. Each part is then a step of its own for planLoss: its means are over its own questions or tokens, as in verl and TRL.
 */
import { groupByQuestion, type Rollout } from './rollout.ts'
import type { ResamplePlan } from './selection.ts'

export interface StepPart<R extends Rollout> {
  readonly rollouts: readonly R[]
  /** Sources index this part's rollouts. */
  readonly plan: readonly ResamplePlan[]
  /** In plan order. */
  readonly continuations: readonly R[]
}

/**
 * `count` parts of consecutive questions whose sizes differ by at most one; fewer where there are fewer questions. The order of rollouts and of the plan is kept, and one part
 * is the step itself.
 */
export function splitMiniBatches<R extends Rollout>(step: StepPart<R>, count: number): StepPart<R>[] {
  const { rollouts, plan, continuations } = step
  const questions = [...groupByQuestion(rollouts).keys()]
  const parts = Math.min(count, questions.length)
  if (parts <= 1) return [{ rollouts, plan, continuations }]
  const partOf = new Map(questions.map((question, i) => [question, Math.floor((i * parts) / questions.length)]))
  const found = Array.from({ length: parts }, () => ({
    rollouts: [] as R[],
    plan: [] as ResamplePlan[],
    continuations: [] as R[],
  }))
  const index = rollouts.map((r) => found[partOf.get(r.question)!]!.rollouts.push(r) - 1)
  let next = 0
  for (const entry of plan) {
    const part = found[partOf.get(entry.question)!]!
    part.plan.push({ ...entry, source: index[entry.source]! })
    for (const end = next + entry.continuations; next < end; next++) part.continuations.push(continuations[next]!)
  }
  return found
}
