/** Estimators of KL(pi || ref) from one sampled token, with their derivatives with respect to its log-probability. Not here: weights and beta (loss.ts). */

/** As in verl: k1, k2, k3 (Schulman), absolute; with `+` the value of the name and the gradient of k2, the one whose expectation is the gradient of the KL. */
export type KlEstimator = 'k1' | 'k2' | 'k3' | 'abs' | 'k1+' | 'k3+'

export const klEstimators = ['k1', 'k2', 'k3', 'abs', 'k1+', 'k3+'] as const satisfies readonly KlEstimator[]

export interface KlTerm {
  /** Nats. */
  readonly value: number
  /** dvalue/dlogp. */
  readonly gradient: number
  /** The k3 estimate, whatever the estimator: what is reported. */
  readonly k3: number
}

/** `d`: log-probability under the reference less the current one, nats. */
export function klTerm(estimator: KlEstimator, d: number): KlTerm {
  const k3 = Math.exp(d) - d - 1
  switch (estimator) {
    case 'k1':
      return { value: -d, gradient: 1, k3 }
    case 'k1+':
      return { value: -d, gradient: -d, k3 }
    case 'k2':
      return { value: (d * d) / 2, gradient: -d, k3 }
    case 'abs':
      return { value: Math.abs(d), gradient: -Math.sign(d), k3 }
    case 'k3':
      return { value: k3, gradient: 1 - Math.exp(d), k3 }
    case 'k3+':
      return { value: k3, gradient: -d, k3 }
  }
}
