/**
 * Learning in the toy world: the policy layer's own sampling plan, selection, weights and loss; only the gradient of a softmax row and plain gradient descent are the
 * toy's. It is also the shortest trainer that serves every recipe. Not here: the world (world.ts).
 */
import type { Advantage } from '@axpo/advantage'
import { sequenceLoss } from '../loss.ts'
import type { Recipe } from '../recipe.ts'
import { planSampling, type SampledStep, type StepKey, settleSampling } from '../sampling.ts'
import { type LossPlan, planLoss, type SequenceWeights } from '../weights.ts'
import {
  createTable,
  normalise,
  rowOf,
  type Table,
  type ToyRollout,
  type ToyValue,
  type ToyWorld,
  toyRollout,
  toyStart,
  toyValue,
} from './world.ts'

export interface ToySettings {
  readonly recipe: Recipe
  readonly seed: number
  readonly steps: number
  /** g: chance of a right answer without a tool. */
  readonly guess: number
  /** B, questions a step. Default 16. */
  readonly questions?: number
  /** Of plain gradient descent on the logits. */
  readonly learningRate?: number
  /** Updates a step's rollouts serve; from 2 on ratios leave 1, and clips and surrogates differ. Default 1. */
  readonly updates?: number
}

/** Samples a step: runs the policy layer's jobs until there are none. */
export function sampleToyStep(table: Table, world: ToyWorld, recipe: Recipe, key: StepKey): SampledStep<ToyRollout> {
  const sampled: ToyRollout[] = []
  for (let jobs = planSampling(recipe, key, sampled); jobs.length > 0; jobs = planSampling(recipe, key, sampled))
    sampled.push(...jobs.map((job) => toyRollout(table, world, key, job)))
  return settleSampling(recipe, key, sampled)
}

/** Log-probabilities of a rollout's tokens under a table [T]. */
function score(table: Table, r: ToyRollout): Float32Array {
  const logp = new Float32Array(r.tokens.length)
  for (let t = 0; t < logp.length; t++) {
    const row = r.rows[t]!
    if (row >= 0) logp[t] = table.logprobs[rowOf(row).start + r.options[t]!]!
  }
  return logp
}

/** Adds one sequence's gradient with respect to the logits. */
function backward(table: Table, r: ToyRollout, dLossDLogp: Float32Array, gradient: Float64Array): void {
  for (let t = 0; t < r.tokens.length; t++) {
    const d = dLossDLogp[t]!
    if (d === 0 || r.rows[t]! < 0) continue
    const { start, size } = rowOf(r.rows[t]!)
    gradient[start + r.options[t]!]! += d
    for (let i = start; i < start + size; i++) gradient[i]! -= d * Math.exp(table.logprobs[i]!)
  }
}

/** Gradient of the loss with respect to the logits. `reference`: the table of the KL term. */
export function toyGradient(
  table: Table,
  reference: Table,
  recipe: Recipe,
  sequences: readonly ToyRollout[],
  weights: readonly SequenceWeights[],
): Float64Array {
  const gradient = new Float64Array(table.logits.length)
  for (const [i, r] of sequences.entries()) {
    const kl = recipe.klWeight > 0 ? score(reference, r) : null
    backward(table, r, sequenceLoss(weights[i]!, recipe, score(table, r), r.logprobs, kl).dLossDLogp, gradient)
  }
  return gradient
}

export interface ToyRun {
  /** Exact values before the first and after each step. */
  readonly curve: readonly ToyValue[]
  readonly rollouts: number
  readonly continuations: number
  readonly table: Table
}

/** Large, because a token's weight is one over all the tokens of the step and a table row shares nothing with the others. */
export const toyLearningRate = 20

/** `watch` sees each step before its update. */
export function runToy(
  advantage: Advantage,
  settings: ToySettings,
  watch?: (step: SampledStep<ToyRollout>, lossPlan: LossPlan) => void,
): ToyRun {
  const { recipe, seed, steps, guess, questions = 16, learningRate = toyLearningRate, updates = 1 } = settings
  const world = { seed, guess }
  const table = createTable(seed, toyStart)
  const reference = createTable(seed, toyStart)
  const curve = [toyValue(table, world)]
  let rolloutCount = 0
  let continuationCount = 0
  for (let step = 0; step < steps; step++) {
    const sampled = sampleToyStep(table, world, recipe, { seed, step, questions })
    const { rollouts, plan, continuations, dropped } = sampled
    const lossPlan = planLoss({ rollouts, plan, continuations, recipe, advantage })
    watch?.(sampled, lossPlan)
    rolloutCount += rollouts.length + dropped.length
    continuationCount += continuations.length
    const sequences = [...rollouts, ...continuations]
    const weights = [...lossPlan.rollouts, ...lossPlan.continuations]
    for (let update = 0; update < updates; update++) {
      const gradient = toyGradient(table, reference, recipe, sequences, weights)
      for (let i = 0; i < gradient.length; i++) table.logits[i]! -= learningRate * gradient[i]!
      normalise(table)
    }
    curve.push(toyValue(table, world))
  }
  return { curve, rollouts: rolloutCount, continuations: continuationCount, table }
}
