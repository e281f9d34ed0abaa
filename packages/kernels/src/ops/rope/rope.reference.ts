/** f64 reference of rope. cos, sin [rows, C/2]. */
export function ropeReference(
  x: Float64Array,
  cos: Float64Array,
  sin: Float64Array,
  heads: number,
  C: number,
): Float64Array {
  return x.map((value, index) => {
    const channel = index % C
    const row = Math.floor(index / (heads * C))
    const angle = row * (C / 2) + (channel % (C / 2))
    return channel < C / 2
      ? value * cos[angle]! - x[index + C / 2]! * sin[angle]!
      : value * cos[angle]! + x[index - C / 2]! * sin[angle]!
  })
}
