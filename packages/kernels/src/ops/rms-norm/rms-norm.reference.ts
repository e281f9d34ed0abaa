/** f64 reference of rmsNorm. */
export function rmsNormReference(x: Float64Array, w: Float64Array, eps: number): Float64Array {
  const width = w.length
  return x.map((value, index) => {
    const row = x.subarray(index - (index % width), index - (index % width) + width)
    return (value * w[index % width]!) / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / width + eps)
  })
}
