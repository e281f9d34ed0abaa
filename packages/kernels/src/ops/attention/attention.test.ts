/**
 * A row's attention and gradients are its own list's alone, to the bit: however the list is cut into spans and wherever its keys lie, whichever rows
 * are beside it, on any number of threads; and what a row does not see never reaches it. Values: attention.conformance.ts.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { buildBackward } from '../../autodiff.ts'
import { randomValues } from '../../conformance.ts'
import { type CpuExecutor, createCpuExecutor } from '../../cpu/executor.ts'
import { Graph } from '../../graph.ts'
import { forwardCalls, planGraph } from '../../plan.ts'
import { add } from '../add/add.ts'
import { attention } from './attention.ts'

const executors = await Promise.all([
  createCpuExecutor({ threads: 1 }),
  createCpuExecutor({ threads: 2 }),
  createCpuExecutor({ threads: 1, build: 'plain' }),
])
afterAll(() => Promise.all(executors.map((executor) => executor.close())))

interface Shape {
  readonly heads: number
  readonly kvHeads: number
  readonly channels: number
}

/** Rows of q and of what comes back to the output, rows of k and v. */
interface Rows {
  readonly q: Float32Array
  readonly dO: Float32Array
  readonly k: Float32Array
  readonly v: Float32Array
}

interface Lists {
  /** Pairs (first key, count) of each row. */
  readonly spans: readonly (readonly number[])[]
  /** First query that sees the key and the one behind the last. */
  readonly queries: readonly (readonly [number, number])[]
}

interface Results {
  readonly o: Float32Array
  readonly dq: Float32Array
  readonly dk: Float32Array
  readonly dv: Float32Array
}

let regions = 0

async function run(executor: CpuExecutor, shape: Shape, rows: Rows, { spans, queries }: Lists): Promise<Results> {
  const g = new Graph()
  const input = (data: Float32Array, count: number) => {
    const place = `attention ${regions++}`
    executor.allocate(place, 3 * data.length)
    executor.writeRegion(place, 0, data)
    const width = data.length / count
    const gradient = g.persistent('gradient', place, data.length, count, width)
    const values = g.persistent('input', place, 0, count, width, gradient)
    const tensor = add(g, values, g.persistent('zero', place, 2 * data.length, count, width))
    return { tensor, gradient: () => executor.readRegion(place, data.length, data.length) }
  }
  const [q, k, v] = [input(rows.q, spans.length), input(rows.k, queries.length), input(rows.v, queries.length)] as const
  const pointers = [0]
  for (const list of spans) pointers.push(pointers.at(-1)! + list.length / 2)
  const spanTable = Int32Array.from([...pointers, ...spans.flat()])
  const spanTensor = g.host('spans', spanTable.length, 1, 'i32')
  const queryTensor = g.host('queries', queries.length, 2, 'i32')
  const o = attention(g, {
    q: q.tensor,
    k: k.tensor,
    v: v.tensor,
    spans: spanTensor,
    queries: queryTensor,
    ...shape,
    scale: shape.channels ** -0.5,
  })
  const dy = g.host('dy', spans.length, shape.heads * shape.channels)
  const loaded = executor.load(
    planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g, [[o, dy]]) } }),
  )
  loaded.write(spanTensor, spanTable)
  loaded.write(queryTensor, Int32Array.from(queries.flat()))
  loaded.write(dy, rows.dO)
  loaded.run('forward')
  const output = (await loaded.read(o)) as Float32Array
  loaded.run('backward')
  loaded.free()
  const [dq, dk, dv] = await Promise.all([q, k, v].map(({ gradient }) => gradient()))
  return { o: output, dq: dq!, dk: dk!, dv: dv! }
}

/** Three sequences, one short, two of more keys than a block. Each row sees its own sequence up to itself. */
const starts = [0, 21, 151]
const T = 300
const startOf = (row: number) => starts.findLast((start) => start <= row)!
const endOf = (row: number) => starts.find((start) => start > row) ?? T

const causal: Lists = {
  spans: Array.from({ length: T }, (_, row) => [startOf(row), row + 1 - startOf(row)]),
  queries: Array.from({ length: T }, (_, key) => [key, endOf(key)] as const),
}

function randomRows({ heads, kvHeads, channels }: Shape): Rows {
  const [width, kvWidth] = [heads * channels, kvHeads * channels]
  const values = (size: number, seed: number) => randomValues(T * size, seed).map((x) => 3 * x)
  return { q: values(width, 3), dO: values(width, 5), k: values(kvWidth, 7), v: values(kvWidth, 11) }
}

/** Row order[i] of the data as row i. */
function reordered(data: Float32Array, order: readonly number[]): Float32Array {
  const width = data.length / T
  const result = new Float32Array(order.length * width)
  for (const [i, row] of order.entries()) result.set(data.subarray(row * width, (row + 1) * width), i * width)
  return result
}

/** The first element that is not the same number; -1: none. */
function firstDifference(got: Float32Array, want: Float32Array): number {
  if (got.length !== want.length) return 0
  return got.findIndex((value, i) => !Object.is(value, want[i]))
}

/** The row's keys as single ranges of rows `placeOf`, cut where the place is no neighbour and at every `cut`th key. */
function cutSpans(row: number, placeOf: readonly number[], cut: number): number[] {
  const pairs: number[] = []
  for (let key = startOf(row); key <= row; key++) {
    const place = placeOf[key]!
    const open = (key - startOf(row)) % cut !== 0 && pairs.at(-2)! + pairs.at(-1)! === place
    if (open) pairs[pairs.length - 1]!++
    else pairs.push(place, 1)
  }
  return pairs
}

const shapes: readonly Shape[] = [
  { heads: 8, kvHeads: 2, channels: 16 },
  { heads: 2, kvHeads: 2, channels: 8 },
  { heads: 4, kvHeads: 2, channels: 5 },
  { heads: 3, kvHeads: 1, channels: 7 },
  { heads: 8, kvHeads: 1, channels: 4 },
  { heads: 11, kvHeads: 1, channels: 3 },
]

describe.each(shapes)('$heads heads, $kvHeads of keys, $channels channels', (shape) => {
  const rows = randomRows(shape)
  const all = Array.from({ length: T }, (_, row) => row)

  test.each(executors)('cuts, places and neighbours change no bit: $build, $threads threads', async (executor) => {
    const whole = await run(executor, shape, rows, causal)
    // keys in pages of 16 that lie elsewhere; rows of q in another order, so that none is beside its neighbour
    const order = all.toSorted((a, b) => (a % 16) - (b % 16) || b - a)
    const pages = all.toSorted((a, b) => (((a >> 4) * 13) % 19) - (((b >> 4) * 13) % 19) || a - b)
    const placeOf = all.map((row) => pages.indexOf(row))
    const elsewhere = await run(
      executor,
      shape,
      {
        q: reordered(rows.q, order),
        dO: reordered(rows.dO, order),
        k: reordered(rows.k, pages),
        v: reordered(rows.v, pages),
      },
      { spans: order.map((row) => cutSpans(row, placeOf, 9)), queries: all.map(() => [0, 0] as const) },
    )
    expect(firstDifference(elsewhere.o, reordered(whole.o, order))).toBe(-1)
    expect(firstDifference(elsewhere.dq, reordered(whole.dq, order))).toBe(-1)
    // keys in another order, the same queries
    const places = all.map((key) => order.indexOf(key))
    const keys = await run(
      executor,
      shape,
      { ...rows, k: reordered(rows.k, order), v: reordered(rows.v, order) },
      {
        spans: causal.spans.map((_, row) => cutSpans(row, places, 99)),
        queries: order.map((key) => causal.queries[key]!),
      },
    )
    expect(firstDifference(keys.dk, reordered(whole.dk, order))).toBe(-1)
    expect(firstDifference(keys.dv, reordered(whole.dv, order))).toBe(-1)
  })

  test('one row at a time, and on two threads', async () => {
    const [one, two] = executors
    const whole = await run(one, shape, rows, causal)
    expect(await run(two, shape, rows, causal)).toEqual(whole)
    for (const row of [0, 20, 21, 22, 25, 148, 149, 150, 278, 279, 299]) {
      const alone = await run(
        one,
        shape,
        { ...rows, q: reordered(rows.q, [row]), dO: reordered(rows.dO, [row]) },
        { spans: [causal.spans[row]!], queries: all.map(() => [0, 0] as const) },
      )
      expect(firstDifference(alone.o, reordered(whole.o, [row]))).toBe(-1)
      expect(firstDifference(alone.dq, reordered(whole.dq, [row]))).toBe(-1)
    }
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('what a row does not see never reaches it: %s', async (bad) => {
    const [one] = executors
    const whole = await run(one, shape, rows, causal)
    for (const row of [20, 173, 290]) {
      const others = all.filter((other) => other !== row)
      const poisoned = (data: Float32Array) => {
        const width = data.length / T
        return data.map((value, i) => (Math.floor(i / width) === row ? bad : value))
      }
      // rows before the key, and of other sequences
      const blind = others.filter((other) => other < row || startOf(other) !== startOf(row))
      for (const key of [
        { ...rows, k: poisoned(rows.k) },
        { ...rows, v: poisoned(rows.v) },
      ]) {
        const { o, dq } = await run(one, shape, key, causal)
        expect(firstDifference(reordered(o, blind), reordered(whole.o, blind))).toBe(-1)
        expect(firstDifference(reordered(dq, blind), reordered(whole.dq, blind))).toBe(-1)
        expect(reordered(o, [row]).every(Number.isFinite)).toBe(false)
      }
      // keys behind the query, and of other sequences
      const unseen = others.filter((other) => other > row || startOf(other) !== startOf(row))
      for (const query of [
        { ...rows, q: poisoned(rows.q) },
        { ...rows, dO: poisoned(rows.dO) },
      ]) {
        const { dk, dv } = await run(one, shape, query, causal)
        expect(firstDifference(reordered(dk, unseen), reordered(whole.dk, unseen))).toBe(-1)
        expect(firstDifference(reordered(dv, unseen), reordered(whole.dv, unseen))).toBe(-1)
        expect(reordered(dk, [row]).every(Number.isFinite)).toBe(false)
      }
    }
  })
})

test('all rows of an image are beside each other, and each is as if alone', async () => {
  const shape: Shape = { heads: 3, kvHeads: 3, channels: 16 }
  const rows = randomRows(shape)
  const [one] = executors
  const image = (spans: Lists['spans'], q: Float32Array, dO: Float32Array) =>
    run(one, shape, { ...rows, q, dO }, { spans, queries: Array.from({ length: T }, () => [0, spans.length] as const) })
  const whole = await image(
    Array.from({ length: T }, () => [7, 203]),
    rows.q,
    rows.dO,
  )
  for (const row of [0, 3, 8, 299]) {
    const alone = await image([[7, 60, 67, 143]], reordered(rows.q, [row]), reordered(rows.dO, [row]))
    expect(firstDifference(alone.o, reordered(whole.o, [row]))).toBe(-1)
    expect(firstDifference(alone.dq, reordered(whole.dq, [row]))).toBe(-1)
  }
})
