/**
 * Learning in the toy world: the policy layer's own sampling plan, selection, weights and loss; only the gradient of a softmax row and plain gradient descent are the
 * toy's. It is also the shortest trainer that serves every recipe. Not here: the world (world.ts).
 */
import type { Advantage } from '@axpo/advantage'
import { type SequenceLoss, sequenceLoss } from '../loss.ts'
import { splitMiniBatches } from '../mini-batches.ts'
import { type Recipe, settingsOf } from '../recipe.ts'
import { planSampling, type SampledStep, type StepKey, settleSampling } from '../sampling.ts'
import { type LossPlan, planLoss, type SequenceWeights } from '../weights.ts'
import {
  createTable,
  normalise,
  rowOf,
  type Table,
  type ToyKindName,
  type ToyRollout,
  type ToyValue,
  type ToyWorld,
  toyKinds,
  toyRollout,
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
  /** Passes over a step's rollouts; from 2 updates on ratios leave 1, and clips and surrogates differ. Default: the recipe's epochs. */
  readonly updates?: number
  /** Which world. Default plain. */
  readonly kind?: ToyKindName
}

/** Samples a step: runs the policy layer's jobs until there are none. */
export function sampleToyStep(table: Table, world: ToyWorld, recipe: Recipe, key: StepKey): SampledStep<ToyRollout> {
  const sampled: ToyRollout[] = []
  for (let jobs = planSampling(recipe, key, sampled); jobs.length > 0; jobs = planSampling(recipe, key, sampled))
    sampled.push(...jobs.map((job) => toyRollout(table, world, key, job)))
  return settleSampling(recipe, key, sampled)
}

/** Log-probabilities and entropies of a rollout's tokens under a table [T]. */
function score(table: Table, r: ToyRollout): { readonly logp: Float32Array; readonly entropies: Float32Array } {
  const logp = new Float32Array(r.tokens.length)
  const entropies = new Float32Array(r.tokens.length)
  for (let t = 0; t < logp.length; t++) {
    const row = r.rows[t]!
    if (row < 0) continue
    logp[t] = table.logprobs[rowOf(row).start + r.options[t]!]!
    entropies[t] = table.entropies[row]!
  }
  return { logp, entropies }
}

/** Adds one sequence's gradient with respect to the logits. */
function backward(table: Table, r: ToyRollout, loss: SequenceLoss, gradient: Float64Array): void {
  for (let t = 0; t < r.tokens.length; t++) {
    const d = loss.dLossDLogp[t]!
    const h = loss.dLossDEntropy?.[t] ?? 0
    if ((d === 0 && h === 0) || r.rows[t]! < 0) continue
    const { start, size } = rowOf(r.rows[t]!)
    gradient[start + r.options[t]!]! += d
    for (let i = start; i < start + size; i++) {
      const p = Math.exp(table.logprobs[i]!)
      gradient[i]! -= d * p
      if (h !== 0) gradient[i]! -= h * p * (table.logprobs[i]! + table.entropies[r.rows[t]!]!)
    }
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
    const kl = recipe.klWeight > 0 ? score(reference, r).logp : null
    const { logp, entropies } = score(table, r)
    backward(table, r, sequenceLoss(weights[i]!, recipe, logp, r.logprobs, kl, entropies), gradient)
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
  const { recipe, seed, steps, guess, questions = 16, learningRate = toyLearningRate, kind = 'plain' } = settings
  const { miniBatches, epochs } = settingsOf(recipe)
  const { calls, partialReward, start } = toyKinds[kind]
  const world = { seed, guess, calls, partialReward }
  const table = createTable(seed, start)
  const reference = createTable(seed, start)
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
    const parts = splitMiniBatches(sampled, miniBatches).map((part) => {
      const own = miniBatches === 1 ? lossPlan : planLoss({ ...part, recipe, advantage })
      return { sequences: [...part.rollouts, ...part.continuations], weights: [...own.rollouts, ...own.continuations] }
    })
    for (let epoch = 0; epoch < (settings.updates ?? epochs); epoch++)
      for (const { sequences, weights } of parts) {
        const gradient = toyGradient(table, reference, recipe, sequences, weights)
        for (let i = 0; i < gradient.length; i++) table.logits[i]! -= learningRate * gradient[i]!
        normalise(table)
      }
    curve.push(toyValue(table, world))
  }
  return { curve, rollouts: rolloutCount, continuations: continuationCount, table }
}
