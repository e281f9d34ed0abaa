/**
 * One suite for every executor: each op against its f64 reference, its gradients against central differences of that reference.
 * Arenas start as NaN on the CPU executor, so a read of stale memory shows. Used by tests; no test framework in here.
 */
import { buildBackward } from './autodiff.ts'
import type { Executor } from './executor.ts'
import { Graph, type Tensor } from './graph.ts'
import { attentionReference } from './ops/attention/attention.reference.ts'
import { gatherReference } from './ops/gather/gather.reference.ts'
import { geluReference } from './ops/gelu/gelu.reference.ts'
import { linearReference } from './ops/gemm/gemm.reference.ts'
import * as ops from './ops/index.ts'
import { layerNormReference } from './ops/layer-norm/layer-norm.reference.ts'
import { logprobReference } from './ops/logprob/logprob.reference.ts'
import { rmsNormReference } from './ops/rms-norm/rms-norm.reference.ts'
import { ropeReference } from './ops/rope/rope.reference.ts'
import { swigluReference } from './ops/swiglu/swiglu.reference.ts'
import { forwardCalls, planGraph } from './plan.ts'

type Reference = (inputs: readonly Float64Array[]) => Float64Array

/** An op under test for T live rows. Activations pass through an addition first, so that they have gradients of their own. */
export interface ConformanceCase {
  readonly name: string
  /** Widths of activations [T, width]. */
  readonly activations: readonly number[]
  /** [rows, width] of parameters. */
  readonly parameters: readonly (readonly [number, number])[]
  /** Integer tables by name. */
  tables?(T: number): Record<string, Int32Array>
  build(g: Graph, inputs: readonly Tensor[], tables: Readonly<Record<string, Tensor>>, dout: Tensor | undefined): Tensor
  reference(T: number, tables: Readonly<Record<string, Int32Array>>): Reference
  /** Columns of the output the reference gives, when it has more. */
  readonly columns?: number
  /** The gradient enters by dout [T, 2]. */
  readonly seeded?: true
}

/** The leading rows of a parameter as a table with live rows and no gradient. */
function fixedTable(g: Graph, tensor: Tensor, like: Tensor): Tensor {
  const { storage } = tensor
  if (storage.kind !== 'persistent') throw new Error(`conformance: ${tensor.name} must be persistent.`)
  return g.persistent(tensor.name, storage.region, storage.offset, like.rows, tensor.width)
}

const causal = (T: number) => Array.from({ length: T }, (_, row) => Array.from({ length: row + 1 }, (_, key) => key))
const spans = (T: number) =>
  Int32Array.from([...Array(T + 1).keys(), ...Array.from({ length: T }, (_, row) => [0, row + 1]).flat()])
const queries = (T: number) => Int32Array.from(Array.from({ length: T }, (_, key) => [key, T]).flat())

function attentionCase(heads: number, kvHeads: number, channels: number): ConformanceCase {
  const shape = { heads, kvHeads, channels, scale: channels ** -0.5 }
  return {
    name: `attention ${heads}/${kvHeads}x${channels}`,
    activations: [heads * channels, kvHeads * channels, kvHeads * channels],
    parameters: [],
    tables: (T) => ({ spans: spans(T), queries: queries(T) }),
    build: (g, [q, k, v], t) =>
      ops.attention(g, { q: q!, k: k!, v: v!, spans: t.spans!, queries: g.reshape(t.queries!, q!.rows, 2), ...shape }),
    reference:
      (T) =>
      ([q, k, v]) =>
        attentionReference(q!, k!, v!, causal(T), shape),
  }
}

/** Two entries a row: rows i and 7 i + 3, modulo the table. */
const pairsOf = (T: number, size: number) => Array.from({ length: T }, (_, row) => [row % size, (7 * row + 3) % size])
function csr(lists: readonly (readonly number[])[]): Int32Array {
  let sum = 0
  return Int32Array.from([0, ...lists.map((list) => (sum += list.length)), ...lists.flat()])
}
function gatherTables(T: number): Record<string, Int32Array> {
  const lists = pairsOf(T, 5)
  const transposed = Array.from({ length: 5 }, (_, column) =>
    lists.flatMap((list, row) => list.filter((entry) => entry === column).map(() => row)),
  )
  return { csr: csr(lists), transposed: csr(transposed) }
}

export const cases: readonly ConformanceCase[] = [
  {
    name: 'linear',
    activations: [37],
    parameters: [[19, 37]],
    build: (g, [x, w]) => ops.linear(g, x!, w!),
    reference:
      () =>
      ([x, w]) =>
        linearReference(x!, w!, undefined, 37, 19),
  },
  {
    name: 'linear with bias, K beyond a block',
    activations: [300],
    parameters: [
      [24, 300],
      [1, 24],
    ],
    build: (g, [x, w, b]) => ops.linear(g, x!, w!, b),
    reference:
      () =>
      ([x, w, b]) =>
        linearReference(x!, w!, b, 300, 24),
  },
  {
    name: 'rmsNorm',
    activations: [37],
    parameters: [[1, 37]],
    build: (g, [x, w]) => ops.rmsNorm(g, x!, w!, 1e-6),
    reference:
      () =>
      ([x, w]) =>
        rmsNormReference(x!, w!, 1e-6),
  },
  {
    name: 'layerNorm',
    activations: [67],
    parameters: [
      [1, 67],
      [1, 67],
    ],
    build: (g, [x, w, b]) => ops.layerNorm(g, x!, w!, b!, 1e-6),
    reference:
      () =>
      ([x, w, b]) =>
        layerNormReference(x!, w!, b!, 1e-6),
  },
  {
    name: 'rope',
    activations: [24],
    parameters: [
      [512, 4],
      [512, 4],
    ],
    build: (g, [x, cos, sin]) => {
      const table = (tensor: Tensor) => fixedTable(g, tensor, x!)
      return ops.rope(g, x!, table(cos!), table(sin!), 3)
    },
    reference:
      () =>
      ([x, cos, sin]) =>
        ropeReference(x!, cos!, sin!, 3, 8),
  },
  attentionCase(4, 1, 8),
  attentionCase(6, 2, 5),
  {
    name: 'swiglu',
    activations: [13, 13],
    parameters: [],
    build: (g, [a, b]) => ops.swiglu(g, a!, b!),
    reference:
      () =>
      ([a, b]) =>
        swigluReference(a!, b!),
  },
  {
    name: 'gelu tanh',
    activations: [13],
    parameters: [],
    build: (g, [x]) => ops.gelu(g, x!, 'tanh'),
    reference:
      () =>
      ([x]) =>
        geluReference(x!, 'tanh'),
  },
  {
    name: 'gelu erf',
    activations: [13],
    parameters: [],
    build: (g, [x]) => ops.gelu(g, x!, 'erf'),
    reference:
      () =>
      ([x]) =>
        geluReference(x!, 'erf'),
  },
  {
    name: 'residual block: add after a branch',
    activations: [16],
    parameters: [
      [16, 16],
      [1, 16],
    ],
    build: (g, [x, w, n]) => ops.add(g, x!, ops.linear(g, ops.rmsNorm(g, x!, n!, 1e-6), w!)),
    reference:
      () =>
      ([x, w, n]) =>
        linearReference(rmsNormReference(x!, n!, 1e-6), w!, undefined, 16, 16).map((value, i) => value + x![i]!),
  },
  {
    name: 'gather added in place',
    activations: [12],
    parameters: [[5, 12]],
    tables: gatherTables,
    build: (g, [x, table], t) =>
      ops.gather(g, { table: table!, csr: t.csr!, csrTransposed: t.transposed!, rows: x!.rows, addTo: x! }),
    reference:
      (T) =>
      ([x, table]) =>
        gatherReference(
          table!,
          pairsOf(T, 5).map((list) => list.map((entry) => [entry, 1] as const)),
          12,
          x,
        ),
  },
  {
    name: 'logprob in tiles',
    activations: [16],
    parameters: [[45, 16]],
    tables: (T) => ({ targets: Int32Array.from({ length: T }, (_, row) => (row * 11) % 41) }),
    build: (g, [x, head], t, dout) =>
      ops.logprob(g, {
        hidden: x!,
        head: head!,
        targets: g.reshape(t.targets!, x!.rows, 1),
        dout: dout!,
        vocab: 41,
        tileWidth: 16,
        invTemperature: 0.8,
      }),
    reference:
      (_, t) =>
      ([x, head]) =>
        logprobReference(x!, head!, t.targets!, 16, 41, 0.8),
    columns: 2,
    seeded: true,
  },
]

/** Deterministic values in [-1, 1). */
export function randomValues(length: number, seed: number): Float32Array {
  let state = seed >>> 0 || 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

export interface ConformanceResult {
  readonly valueError: number
  readonly gradientError: number
  /** The output, to compare runs to the bit. */
  readonly output: Float32Array
  readonly gradients: Float32Array
}

let runs = 0

/** Largest |difference| / (1 + |reference|) of output and gradients, at T live rows under a capacity of `capacity`. */
export async function runCase(
  executor: Executor,
  test: ConformanceCase,
  T: number,
  capacity = T,
): Promise<ConformanceResult> {
  const g = new Graph({ T: capacity })
  const rows = g.symbol('T')
  const sizes = [...test.activations.map((width) => [capacity, width] as const), ...test.parameters]
  const offsets: number[] = []
  let total = 0
  for (const [count, width] of sizes) {
    offsets.push(total)
    total += Math.ceil((count * width) / 64) * 64
  }
  const [region, gradientRegion] = [`params`, `grads`].map((name) => `${name}${runs++}`) as [string, string]
  const zeroWidth = Math.max(1, ...test.activations)
  executor.allocate(region, total + capacity * zeroWidth)
  executor.allocate(gradientRegion, total)
  const inputs = sizes.map(([count, width], i) => {
    const shape = i < test.activations.length ? rows : count
    const parameter = g.persistent(
      `input${i}`,
      region,
      offsets[i]!,
      shape,
      width,
      g.persistent(`gradient${i}`, gradientRegion, offsets[i]!, shape, width),
    )
    if (i >= test.activations.length) return parameter
    return ops.add(g, parameter, g.persistent('zero', region, total, rows, width))
  })
  const tableData = test.tables?.(T) ?? {}
  if (capacity !== T && test.tables) throw new Error('conformance: cases with tables need capacity = T.')
  const tables = Object.fromEntries(
    Object.entries(tableData).map(([name, data]) => [name, tableTensor(g, name, data, T)]),
  )
  const dout = test.seeded ? g.host('dout', rows, 2) : undefined
  const y = test.build(
    g,
    inputs.map((tensor) => tensor),
    tables,
    dout,
  )
  const dy = dout ?? g.host('dy', y.rows, y.width)
  const plan = planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g, dout ? [] : [[y, dy]]) } })
  const data = sizes.map(([count, width], i) =>
    randomValues((i < test.activations.length ? T : count) * width, 17 + i * 101 + T),
  )
  for (const [i, values] of data.entries()) executor.writeRegion(region, offsets[i]!, values)
  const loaded = executor.load(plan)
  for (const [name, values] of Object.entries(tableData)) loaded.write(tables[name]!, values)
  const seed = randomValues(T * dy.width, 5)
  loaded.write(dy, seed)
  await loaded.run('forward', { T })
  const output = (await loaded.read(y, T)) as Float32Array
  await loaded.run('backward', { T })
  const gradients = await executor.readRegion(gradientRegion, 0, total)
  loaded.free()
  const reference = test.reference(T, tableData)
  const inputs64 = data.map((values) => Float64Array.from(values))
  const columns = test.columns ?? y.width
  return {
    valueError: valueError(output, y.width, columns, reference(inputs64)),
    gradientError: gradientError(reference, inputs64, seed, gradients, offsets, test.name === 'rope' ? 1 : data.length),
    output,
    gradients,
  }
}

/** Tables whose rows follow T are made [T, width] so that they can be seen with live rows. */
function tableTensor(g: Graph, name: string, data: Int32Array, T: number): Tensor {
  return name === 'queries' || name === 'targets'
    ? g.host(name, g.symbol('T'), data.length / T, 'i32')
    : g.host(name, data.length, 1, 'i32')
}

function worst(error: number, got: number, want: number): number {
  const difference = Math.abs(got - want) / (1 + Math.abs(want))
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference)
}

function valueError(output: Float32Array, width: number, columns: number, want: Float64Array): number {
  let error = 0
  for (const [index, value] of want.entries())
    error = worst(error, output[Math.floor(index / columns) * width + (index % columns)]!, value)
  return error
}

function gradientError(
  reference: Reference,
  inputs: Float64Array[],
  seed: Float32Array,
  gradients: Float32Array,
  offsets: readonly number[],
  checked: number,
): number {
  const loss = () => reference(inputs).reduce((sum, value, index) => sum + value * seed[index]!, 0)
  let error = 0
  for (const [i, values] of inputs.slice(0, checked).entries())
    for (let probe = 0; probe < 6; probe++) {
      const index = (probe * 7919) % values.length
      const kept = values[index]!
      values[index] = kept + 1e-4
      const up = loss()
      values[index] = kept - 1e-4
      const down = loss()
      values[index] = kept
      error = worst(error, gradients[offsets[i]! + index]!, (up - down) / 2e-4)
    }
  return error
}
