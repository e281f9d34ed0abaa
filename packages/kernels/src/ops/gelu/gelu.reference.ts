/** f64 reference of gelu; erf by its Maclaurin series (|x| below 6). */
export function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x)
  let term = x
  let sum = x
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

export function geluReference(x: Float64Array, kind: 'tanh' | 'erf'): Float64Array {
  return x.map(
    (v) =>
      0.5 *
      v *
      (1 + (kind === 'erf' ? erf(v / Math.SQRT2) : Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))),
  )
}
