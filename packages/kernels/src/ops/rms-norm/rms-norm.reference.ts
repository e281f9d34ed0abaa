/** f64 reference of rmsNorm. */
export function rmsNormReference(x: Float64Array, w: Float64Array, eps: number): Float64Array {
  const width = w.length
  const y = new Float64Array(x.length)
  for (let first = 0; first < x.length; first += width) {
    const row = x.subarray(first, first + width)
    const root = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / width + eps)
    for (let i = 0; i < width; i++) y[first + i] = (row[i]! * w[i]!) / root
  }
  return y
}
