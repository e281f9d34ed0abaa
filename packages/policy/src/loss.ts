/**
 * The PPO-clip surrogate with asymmetric range and a KL term (Eq. 6 of arXiv 2605.28774), CISPO's and GSPO's, dual clip, cap of the ratio and entropy bonus, per sequence, with
 * closed-form gradients with respect to log-probabilities and entropies. Losses are token sums: all normalisation is in the weights (weights.ts).
 */
import { klTerm } from './kl.ts'
import { type LossSettings, recipeDefaults } from './recipe.ts'
import type { SequenceWeights } from './weights.ts'

export interface SequenceLoss {
  /** dLoss/dlogp of each token [T]; 0 where the weight is 0. */
  readonly dLossDLogp: Float32Array
  /** dLoss/dentropy of each token [T]; null without an entropy bonus. */
  readonly dLossDEntropy: Float32Array | null
  /** This sequence's part of the loss (to be minimised). */
  readonly loss: number
  /** Trained tokens, and those of them where the clip took the gradient. */
  readonly tokens: number
  readonly clipped: number
  /** Sum over trained tokens of the k3 estimate of KL(pi || ref), nats, whatever estimator the loss takes; 0 without a reference. */
  readonly klSum: number
  /** Over trained tokens, of the ratio that the clip sees (GSPO: the sequence's): sum and largest. Exactly `tokens` and 1 on the policy that sampled. */
  readonly ratioSum: number
  readonly ratioMax: number
  /** Sum over trained tokens of the k3 estimate of KL(pi_old || pi), rho - 1 - log rho of the token, nats. */
  readonly oldKlSum: number
}

/** One token's surrogate and its derivative with respect to logp. */
interface TokenTerm {
  readonly value: number
  readonly gradient: number
  readonly clipped: boolean
}

/**
 * -min(min(rho, cap) A, clip(rho) A), for A < 0 at most -c A (dual clip). With the sequence's ratio as rho this is GSPO's, since its derivative with respect to one of T
 * logps is rho A / T, T times.
 */
function clippedTerm(ratio: number, bounded: number, advantage: number, cap: number, dual: number): TokenTerm {
  const free = Math.min(ratio, cap) * advantage
  const value = Math.min(free, bounded * advantage)
  if (dual > 0 && advantage < 0 && dual * advantage > value)
    return { value: dual * advantage, gradient: 0, clipped: true }
  const active = free <= bounded * advantage && ratio <= cap
  return { value, gradient: active ? -ratio * advantage : 0, clipped: !active }
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

/** Whether the entropies that an entropy bonus needs are there. */
function checkEntropies(weights: Float32Array, bonus: number, entropies: Float32Array | null): void {
  if (bonus !== 0 && entropies?.length !== weights.length)
    throw new Error(
      `sequenceLoss: an entropy bonus needs the entropies of ${weights.length} tokens, got ${entropies?.length ?? 'none'}. Pass the forward pass's.`,
    )
}

/**
 * logp: current, oldLogp: of the sampler, refLogp: of the reference model (null: no KL term); all natural logs [T]. entropies: current, nats [T]; read with an entropy bonus only.
 * loss = sum_t w_t * ( -min(rho A, clip(rho, 1 - low, 1 + high) A) + beta * KL_t - bonus * H_t ), rho = e^(logp - old), for the ppo surrogate.
 */
export function sequenceLoss(
  plan: SequenceWeights,
  recipe: LossSettings,
  logp: Float32Array,
  oldLogp: Float32Array,
  refLogp: Float32Array | null,
  entropies: Float32Array | null = null,
): SequenceLoss {
  const { weights, advantage } = plan
  const { surrogate, clipLow, clipHigh, klWeight, dualClip, ratioCap, klEstimator, entropyBonus } = {
    ...recipeDefaults,
    ...recipe,
  }
  check(weights, logp, oldLogp)
  checkEntropies(weights, entropyBonus, entropies)
  const shared = surrogate === 'gspo' ? sequenceRatio(weights, logp, oldLogp) : null
  const cap = ratioCap || Number.POSITIVE_INFINITY
  const dLossDLogp = new Float32Array(weights.length)
  const dLossDEntropy = entropyBonus === 0 ? null : new Float32Array(weights.length)
  const sums = { loss: 0, tokens: 0, clipped: 0, klSum: 0, ratioSum: 0, ratioMax: 0, oldKlSum: 0 }
  for (let t = 0; t < weights.length; t++) {
    const w = weights[t]!
    if (w === 0) continue
    const logRatio = logp[t]! - oldLogp[t]!
    const ratio = shared ?? Math.exp(logRatio)
    const bounded = Math.min(Math.max(ratio, 1 - clipLow), 1 + clipHigh)
    const term =
      surrogate === 'cispo'
        ? cispoTerm(ratio, bounded, advantage, logp[t]!)
        : clippedTerm(ratio, bounded, advantage, cap, dualClip)
    sums.tokens++
    if (term.clipped) sums.clipped++
    sums.ratioSum += ratio
    sums.ratioMax = Math.max(sums.ratioMax, ratio)
    sums.oldKlSum += Math.exp(logRatio) - 1 - logRatio
    sums.loss -= w * term.value
    let { gradient } = term
    if (refLogp && klWeight > 0) {
      const kl = klTerm(klEstimator, refLogp[t]! - logp[t]!)
      sums.klSum += kl.k3
      sums.loss += w * klWeight * kl.value
      gradient += klWeight * kl.gradient
    }
    if (dLossDEntropy) {
      sums.loss -= w * entropyBonus * entropies![t]!
      dLossDEntropy[t] = -w * entropyBonus
    }
    dLossDLogp[t] = w * gradient
  }
  return { dLossDLogp, dLossDEntropy, ...sums }
}
