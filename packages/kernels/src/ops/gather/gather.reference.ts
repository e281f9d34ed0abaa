/** f64 reference of gather: entries[row] lists (table row, weight). */
export function gatherReference(
  table: Float64Array,
  entries: readonly (readonly (readonly [number, number])[])[],
  width: number,
  addTo?: Float64Array,
): Float64Array {
  const y = addTo?.slice() ?? new Float64Array(entries.length * width)
  for (const [row, list] of entries.entries())
    for (const [column, weight] of list)
      for (let i = 0; i < width; i++) y[row * width + i]! += weight * table[column * width + i]!
  return y
}
