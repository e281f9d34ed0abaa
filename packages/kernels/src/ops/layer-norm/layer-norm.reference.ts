/** f64 reference of layerNorm. */
export function layerNormReference(x: Float64Array, w: Float64Array, b: Float64Array, eps: number): Float64Array {
  const width = w.length
  return x.map((value, index) => {
    const row = x.subarray(index - (index % width), index - (index % width) + width)
    const mean = row.reduce((sum, v) => sum + v, 0) / width
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width
    return ((value - mean) / Math.sqrt(variance + eps)) * w[index % width]! + b[index % width]!
  })
}
