/**
 * Lists the host writes for the kernels: sparse rows (CSR) and their transpose, spans, query ranges. Layout of a list with capacity R rows:
 * pointers [R + 1], then the entries.
 */
import type { Graph, LoadedPlan, Rows, Tensor } from '@axpo/kernels'

/** A host tensor for `entries` CSR entries over `rows`. */
export function hostSparse(g: Graph, name: string, rows: Rows, entries: number): Tensor {
  return g.host(name, g.capacityRows(rows) + 1 + entries, 1, 'i32')
}

/** A host tensor for `pairs` spans over `rows`. */
export function hostSpans(g: Graph, name: string, rows: Rows, pairs: number): Tensor {
  return g.host(name, g.capacityRows(rows) + 1 + 2 * pairs, 1, 'i32')
}

/** Writes pointers, then entries behind the capacity's pointers. */
export function writeList(
  plan: LoadedPlan,
  tensor: Tensor,
  capacityRows: number,
  pointers: ArrayLike<number>,
  entries: ArrayLike<number>,
): void {
  if (capacityRows + 1 + entries.length > tensor.rows.count)
    throw new Error(
      `lists: ${tensor.name} holds ${tensor.rows.count - capacityRows - 1} entries, got ${entries.length}. Raise the capacities.`,
    )
  plan.write(tensor, Int32Array.from(pointers))
  if (entries.length > 0) plan.write(tensor, Int32Array.from(entries), capacityRows + 1)
}

/** CSR with at most one entry a row: columns[i], or none when negative. */
export function singleColumns(columns: ArrayLike<number>): { pointers: number[]; entries: number[] } {
  const pointers = [0]
  const entries: number[] = []
  for (let i = 0; i < columns.length; i++) {
    if (columns[i]! >= 0) entries.push(columns[i]!)
    pointers.push(entries.length)
  }
  return { pointers, entries }
}

/** Transposed CSR: for each of `columnCount` columns the rows that name it, ascending; `order[k]` is the entry it came from. */
export function transposeList(
  pointers: ArrayLike<number>,
  entries: ArrayLike<number>,
  columnCount: number,
): { pointers: Int32Array; entries: Int32Array; order: Int32Array } {
  const out = new Int32Array(columnCount + 1)
  for (let k = 0; k < entries.length; k++) out[entries[k]! + 1]!++
  for (let c = 0; c < columnCount; c++) out[c + 1]! += out[c]!
  const next = out.slice()
  const rows = new Int32Array(entries.length)
  const order = new Int32Array(entries.length)
  for (let row = 0; row + 1 < pointers.length; row++)
    for (let k = pointers[row]!; k < pointers[row + 1]!; k++) {
      const at = next[entries[k]!]!++
      rows[at] = row
      order[at] = k
    }
  return { pointers: out, entries: rows, order }
}
