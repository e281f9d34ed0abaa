/** f64 reference of one clipped AdamW step. Arrays of one group; the norm is that of `g`. */
export interface AdamWState {
  readonly p: Float64Array
  readonly g: Float64Array
  readonly m: Float64Array
  readonly v: Float64Array
}

export interface AdamWSettings {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  readonly maxNorm: number
  /** Steps taken, this one included. */
  readonly count: number
}

export function adamwReference({ p, g, m, v }: AdamWState, settings: AdamWSettings): AdamWState & { norm: number } {
  const { lr, beta1, beta2, eps, weightDecay, maxNorm, count } = settings
  const norm = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0))
  const scale = maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1
  const first = m.map((x, i) => beta1 * x + (1 - beta1) * g[i]! * scale)
  const second = v.map((x, i) => beta2 * x + (1 - beta2) * (g[i]! * scale) ** 2)
  const weights = p.map((x, i) => {
    const step = first[i]! / (1 - beta1 ** count) / (Math.sqrt(second[i]! / (1 - beta2 ** count)) + eps)
    return x - lr * (step + weightDecay * x)
  })
  return { p: weights, g, m: first, v: second, norm }
}
