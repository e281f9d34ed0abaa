/** f64 reference of swiglu. */
export function swigluReference(gate: Float64Array, up: Float64Array): Float64Array {
  return gate.map((value, index) => (value / (1 + Math.exp(-value))) * up[index]!)
}
