/**
 * The PPO-clip surrogate with asymmetric range and k3 KL (Eq. 6 of arXiv 2605.28774), per sequence, with its closed-form gradient with respect to the
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

/**
 * logp: current, oldLogp: of the sampler, refLogp: of the reference model (null: no KL term); all natural logs [T].
 * loss = sum_t w_t * ( -min(rho A, clip(rho, 1 - low, 1 + high) A) + beta * (e^d - d - 1) ), rho = e^(logp - old), d = ref - logp.
 */
export function sequenceLoss(
  plan: SequenceWeights,
  recipe: Pick<Recipe, 'clipLow' | 'clipHigh' | 'klWeight'>,
  logp: Float32Array,
  oldLogp: Float32Array,
  refLogp: Float32Array | null,
): SequenceLoss {
  const { weights, advantage } = plan
  if (logp.length !== weights.length || oldLogp.length !== weights.length)
    throw new Error(
      `sequenceLoss: needs ${weights.length} log-probabilities, got ${logp.length} and ${oldLogp.length}.`,
    )
  const dLossDLogp = new Float32Array(weights.length)
  let loss = 0
  let tokens = 0
  let clipped = 0
  let klSum = 0
  for (let t = 0; t < weights.length; t++) {
    const w = weights[t]!
    if (w === 0) continue
    if (!Number.isFinite(logp[t]) || !Number.isFinite(oldLogp[t]))
      throw new Error(
        `sequenceLoss: log-probability of trained token ${t} must be finite, got ${logp[t]} (old ${oldLogp[t]}). The forward pass or the rollout is broken.`,
      )
    tokens++
    const ratio = Math.exp(logp[t]! - oldLogp[t]!)
    const bounded = Math.min(Math.max(ratio, 1 - recipe.clipLow), 1 + recipe.clipHigh)
    const active = ratio * advantage <= bounded * advantage
    if (!active) clipped++
    loss -= w * Math.min(ratio * advantage, bounded * advantage)
    let gradient = active ? -ratio * advantage : 0
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
