/**
 * The PPO-clip surrogate with asymmetric range and k3 KL (Eq. 6 of arXiv 2605.28774), CISPO's and GSPO's, per sequence, with its closed-form gradient with respect to the
 * log-probabilities. Losses are token sums: all normalisation is in the weights (weights.ts).
 */
import type { Recipe } from './recipe.ts'
import type { SequenceWeights } from './weights.ts'

export interface SequenceLoss {
  /** dLoss/dlogp of each token [T]; 0 where the weight is 0. */
  readonly dLossDLogp: Float32Array
  /** This sequence's part of the loss (to be minimised). */
  readonly loss: number
  /** Trained tokens, and those of them where the clip took the gradient. */
  readonly tokens: number
  readonly clipped: number
  /** Sum over trained tokens of the k3 estimate of KL(pi || ref), nats; 0 without a reference. */
  readonly klSum: number
}

type LossSettings = Pick<Recipe, 'clipLow' | 'clipHigh' | 'klWeight' | 'surrogate'>

/** One token's surrogate and its derivative with respect to logp. */
interface TokenTerm {
  readonly value: number
  readonly gradient: number
  readonly clipped: boolean
}

/** -min(rho A, clip(rho) A); with the sequence's ratio as rho this is GSPO's, since its derivative with respect to one of T logps is rho A / T, T times. */
function clippedTerm(ratio: number, bounded: number, advantage: number): TokenTerm {
  const active = ratio * advantage <= bounded * advantage
  return {
    value: Math.min(ratio * advantage, bounded * advantage),
    gradient: active ? -ratio * advantage : 0,
    clipped: !active,
  }
}

/** CISPO (MiniMax-M1, arXiv 2506.13585): the clipped ratio is a constant weight of logp, so that no token loses its gradient. */
function cispoTerm(ratio: number, bounded: number, advantage: number, logp: number): TokenTerm {
  return { value: bounded * advantage * logp, gradient: -bounded * advantage, clipped: ratio !== bounded }
}

/** GSPO (arXiv 2507.18071): e^(mean of logp - old over the sequence's trained tokens). */
function sequenceRatio(weights: Float32Array, logp: Float32Array, oldLogp: Float32Array): number {
  let sum = 0
  let tokens = 0
  for (let t = 0; t < weights.length; t++) {
    if (weights[t] === 0) continue
    sum += logp[t]! - oldLogp[t]!
    tokens++
  }
  return Math.exp(sum / Math.max(1, tokens))
}

function check(weights: Float32Array, logp: Float32Array, oldLogp: Float32Array): void {
  if (logp.length !== weights.length || oldLogp.length !== weights.length)
    throw new Error(
      `sequenceLoss: needs ${weights.length} log-probabilities, got ${logp.length} and ${oldLogp.length}.`,
    )
  for (let t = 0; t < weights.length; t++)
    if (weights[t] !== 0 && !(Number.isFinite(logp[t]) && Number.isFinite(oldLogp[t])))
      throw new Error(
        `sequenceLoss: log-probability of trained token ${t} must be finite, got ${logp[t]} (old ${oldLogp[t]}). The forward pass or the rollout is broken.`,
      )
}

/**
 * logp: current, oldLogp: of the sampler, refLogp: of the reference model (null: no KL term); all natural logs [T].
 * loss = sum_t w_t * ( -min(rho A, clip(rho, 1 - low, 1 + high) A) + beta * (e^d - d - 1) ), rho = e^(logp - old), d = ref - logp, for the ppo surrogate.
 */
export function sequenceLoss(
  plan: SequenceWeights,
  recipe: LossSettings,
  logp: Float32Array,
  oldLogp: Float32Array,
  refLogp: Float32Array | null,
): SequenceLoss {
  const { weights, advantage } = plan
  check(weights, logp, oldLogp)
  const shared = recipe.surrogate === 'gspo' ? sequenceRatio(weights, logp, oldLogp) : null
  const dLossDLogp = new Float32Array(weights.length)
  let loss = 0
  let tokens = 0
  let clipped = 0
  let klSum = 0
  for (let t = 0; t < weights.length; t++) {
    const w = weights[t]!
    if (w === 0) continue
    tokens++
    const ratio = shared ?? Math.exp(logp[t]! - oldLogp[t]!)
    const bounded = Math.min(Math.max(ratio, 1 - recipe.clipLow), 1 + recipe.clipHigh)
    const term =
      recipe.surrogate === 'cispo'
        ? cispoTerm(ratio, bounded, advantage, logp[t]!)
        : clippedTerm(ratio, bounded, advantage)
    if (term.clipped) clipped++
    loss -= w * term.value
    let { gradient } = term
    if (refLogp && recipe.klWeight > 0) {
      const d = refLogp[t]! - logp[t]!
      const k3 = Math.exp(d) - d - 1
      klSum += k3
      loss += w * recipe.klWeight * k3
      gradient += recipe.klWeight * (1 - Math.exp(d))
    }
    dLossDLogp[t] = w * gradient
  }
  return { dLossDLogp, loss, tokens, clipped, klSum }
}
