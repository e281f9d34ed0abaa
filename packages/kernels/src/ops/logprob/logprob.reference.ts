/** f64 reference of logprob: [logp, entropy] of each row of logits[T, V] = hidden·head^T * inverse, first `vocab` columns. */
export function logprobReference(
  hidden: Float64Array,
  head: Float64Array,
  targets: ArrayLike<number>,
  width: number,
  vocab: number,
  inverse: number,
): Float64Array {
  const out = new Float64Array(targets.length * 2)
  for (let row = 0; row < targets.length; row++) {
    const z = Float64Array.from({ length: vocab }, (_, n) => {
      let sum = 0
      for (let i = 0; i < width; i++) sum += hidden[row * width + i]! * head[n * width + i]!
      return sum * inverse
    })
    const peak = Math.max(...z)
    const lse = peak + Math.log(z.reduce((sum, value) => sum + Math.exp(value - peak), 0))
    out[row * 2] = z[targets[row]!]! - lse
    out[row * 2 + 1] = z.reduce((sum, value) => sum - Math.exp(value - lse) * (value - lse), 0)
  }
  return out
}
