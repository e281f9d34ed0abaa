/** Cases of gather: rows with two entries and with none, weights, adding in place. */
import { type ConformanceCase, listTable, randomValues, type Tables } from '../../conformance.ts'
import { gatherReference } from './gather.reference.ts'
import { gather } from './gather.ts'

const ROWS = 5
const WIDTH = 12
type Lists = readonly (readonly number[])[]

/** Two entries a row; every fourth row has none. */
const lists = (T: number): Lists =>
  Array.from({ length: T }, (_, row) => (row % 4 === 3 ? [] : [row % ROWS, (7 * row + 3) % ROWS]))

const weightOf = (T: number) => randomValues(2 * T, 21)

/** For each table row, the places (output row, entry) that name it. */
function places(T: number): { readonly row: number; readonly entry: number }[][] {
  const found: { row: number; entry: number }[][] = Array.from({ length: ROWS }, () => [])
  let entry = 0
  for (const [row, list] of lists(T).entries()) for (const column of list) found[column]!.push({ row, entry: entry++ })
  return found
}

function tables(T: number, capacity: number): Tables {
  const weights = new Float32Array(2 * capacity).fill(Number.NaN)
  weights.set(weightOf(T))
  const transposedWeights = new Float32Array(2 * capacity).fill(Number.NaN)
  transposedWeights.set(places(T).flatMap((list) => list.map(({ entry }) => weightOf(T)[entry]!)))
  return {
    csr: listTable(lists(T), capacity, 2 * capacity),
    transposed: listTable(
      places(T).map((list) => list.map(({ row }) => row)),
      ROWS,
      2 * capacity,
    ),
    weights: { data: weights },
    transposedWeights: { data: transposedWeights },
  }
}

function weighted(T: number): [number, number][][] {
  let entry = 0
  return lists(T).map((list) => list.map((column) => [column, weightOf(T)[entry++]!]))
}

export const cases: readonly ConformanceCase[] = [
  {
    name: 'gather, some rows empty',
    activations: [WIDTH],
    parameters: [[ROWS, WIDTH]],
    tables,
    build: (g, [x, table], t) =>
      gather(g, { table: table!, csr: t.csr!, csrTransposed: t.transposed!, rows: x!.rows, addTo: x! }),
    reference:
      (T) =>
      ([x, table]) =>
        gatherReference(
          table!,
          lists(T).map((list) => list.map((column) => [column, 1] as const)),
          WIDTH,
          x,
        ),
  },
  {
    name: 'gather with weights',
    activations: [],
    parameters: [[ROWS, WIDTH]],
    tables,
    build: (g, [table], t) =>
      gather(g, {
        table: table!,
        csr: t.csr!,
        csrTransposed: t.transposed!,
        weights: t.weights!,
        weightsTransposed: t.transposedWeights!,
        rows: g.symbol('T'),
      }),
    reference:
      (T) =>
      ([table]) =>
        gatherReference(table!, weighted(T), WIDTH),
  },
]
