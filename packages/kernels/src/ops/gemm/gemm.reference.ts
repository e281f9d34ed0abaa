/** f64 reference: y[T, N] = x[T, K] · w[N, K]^T + b. */
export function linearReference(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array | undefined,
  K: number,
  N: number,
): Float64Array {
  return Float64Array.from({ length: (x.length / K) * N }, (_, index) => {
    const [row, n] = [Math.floor(index / N), index % N]
    let sum = b?.[n] ?? 0
    for (let k = 0; k < K; k++) sum += x[row * K + k]! * w[n * K + k]!
    return sum
  })
}
