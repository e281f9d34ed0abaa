/** f64 reference of layerNorm. */
export function layerNormReference(x: Float64Array, w: Float64Array, b: Float64Array, eps: number): Float64Array {
  const width = w.length
  const y = new Float64Array(x.length)
  for (let first = 0; first < x.length; first += width) {
    const row = x.subarray(first, first + width)
    const mean = row.reduce((sum, v) => sum + v, 0) / width
    const deviation = Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width + eps)
    for (let i = 0; i < width; i++) y[first + i] = ((row[i]! - mean) / deviation) * w[i]! + b[i]!
  }
  return y
}
