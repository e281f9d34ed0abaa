/**
 * One suite for every executor. Each op folder holds `<op>.conformance.ts` with its cases: values against an f64 reference, gradients against
 * central differences of that reference, NaN in (it must come out where the reference has it), no rows at all, and canaries: arenas start as
 * NaN, unused list entries point outside any table, and gradients start at a mark that padding must keep.
 * Used by tests; no test framework in here. Legend: T live rows, under a capacity that is larger.
 */
import { buildBackward } from './autodiff.ts'
import type { Executor, LoadedPlan } from './executor.ts'
import { Graph, type Tensor } from './graph.ts'
import { add } from './ops/add/add.ts'
import { forwardCalls, planGraph } from './plan.ts'

export type Reference = (inputs: readonly Float64Array[]) => Float64Array

/** Host data of a case. With `columns`, its rows follow T; else it has all its elements always. */
export interface Table {
  readonly data: Int32Array | Float32Array
  readonly columns?: number
}
export type Tables = Readonly<Record<string, Table>>

/** An op with a gradient. Activations pass through an addition first, so that they have gradients of their own. */
export interface GradientCase {
  readonly name: string
  /** Widths of activations [T, width]. */
  readonly activations: readonly number[]
  /** [rows, width] of parameters. */
  readonly parameters: readonly (readonly [number, number])[]
  /** Inputs that have a gradient, the leading ones. Default: all. */
  readonly gradients?: number
  tables?(T: number, capacity: number): Tables
  build(g: Graph, inputs: readonly Tensor[], tables: Readonly<Record<string, Tensor>>, dout: Tensor | undefined): Tensor
  reference(T: number): Reference
  /** Columns of the output the reference gives, when it has more. */
  readonly columns?: number
  /** The gradient enters by dout [T, 2]. */
  readonly seeded?: true
}

export interface Outcome {
  readonly got: ArrayLike<number>
  readonly want: ArrayLike<number>
}

/** An op without a gradient: runs itself. `region` makes names of regions unique; `poison` puts a NaN in and expects it out. */
export interface DirectCase {
  readonly name: string
  run(executor: Executor, T: number, region: (name: string) => string, poison: boolean): Promise<Outcome>
}

export type ConformanceCase = GradientCase | DirectCase

/** Cases of all ops, found in their folders, under Node: a web page has them in its script (scripts/embed.mjs). Throws for an op that has none. */
export async function loadCases(folder = new URL('./ops/', import.meta.url)): Promise<readonly ConformanceCase[]> {
  const { existsSync, readdirSync } = await import('node:fs')
  const found: ConformanceCase[] = []
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const file = new URL(`${entry.name}/${entry.name}.conformance.ts`, folder)
    if (!existsSync(file))
      throw new Error(`conformance: op ${entry.name} must have cases, got no file ${file.pathname}. Write its cases.`)
    const { cases } = (await import(file.href)) as { readonly cases?: readonly ConformanceCase[] }
    if (!cases?.length) throw new Error(`conformance: ${file.pathname} must export cases, got none. Write them.`)
    found.push(...cases)
  }
  return found
}

/** What a kernel must not read: far outside any table. */
const OUTSIDE = 200_000_000
/** Gradients start here, and what lies between them stays here. */
const MARK = 0.25
/** Of the differences of the reference. */
const STEP = 1e-4
/** Rows planned for beyond the live ones. */
const SPARE_ROWS = 3

/** pointers [capacityRows + 1], then `entries` numbers of which the lists fill the first. */
export function listTable(
  lists: readonly (readonly number[])[],
  capacityRows: number,
  entries: number,
  unit = 1,
): Table {
  const data = new Int32Array(capacityRows + 1 + entries).fill(OUTSIDE)
  let end = 0
  data[0] = 0
  for (const [row, list] of lists.entries()) {
    data.set(list, capacityRows + 1 + end)
    end += list.length
    data[row + 1] = end / unit
  }
  return { data }
}

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
  /** What went wrong with NaN or outside the live elements, in words. */
  readonly faults: readonly string[]
  /** Output and gradients, to compare runs to the bit. */
  readonly output: ArrayLike<number>
  readonly gradients: ArrayLike<number>
}

let runs = 0
/** Names of regions no other run has. */
function uniqueRegions(): (name: string) => string {
  const run = runs++
  return (name) => `conformance ${run} ${name}`
}

/** Errors are the largest |difference| / (1 + |reference|). */
export async function runCase(executor: Executor, test: ConformanceCase, T: number): Promise<ConformanceResult> {
  if (!('run' in test)) return runGradientCase(executor, test, T)
  const clean = await test.run(executor, T, uniqueRegions(), false)
  const poisoned = T > 0 ? await test.run(executor, T, uniqueRegions(), true) : { got: [], want: [] }
  const faults = T > 0 ? nanFaults('NaN in', poisoned) : []
  return { valueError: largestError(clean), gradientError: 0, faults, output: clean.got, gradients: [] }
}

interface Prepared {
  readonly loaded: LoadedPlan
  readonly y: Tensor
  readonly dy: Tensor
  readonly region: string
  readonly gradientRegion: string
  /** First element of each input, in both regions, and elements in all. */
  readonly offsets: readonly number[]
  readonly total: number
}

function prepare(executor: Executor, test: GradientCase, T: number): Prepared {
  const capacity = T + SPARE_ROWS
  const g = new Graph({ T: capacity })
  const rows = g.symbol('T')
  const sizes = [...test.activations.map((width) => [capacity, width] as const), ...test.parameters]
  const offsets: number[] = []
  let total = 0
  for (const [count, width] of sizes) {
    offsets.push(total)
    total += Math.ceil((count * width + 1) / 64) * 64
  }
  const name = uniqueRegions()
  const [region, gradientRegion, zeros] = [name('inputs'), name('gradients'), name('zeros')]
  executor.allocate(region, total)
  executor.allocate(gradientRegion, total)
  executor.allocate(zeros, capacity * Math.max(1, ...test.activations))
  const inputs = sizes.map(([count, width], i) => {
    const shape = i < test.activations.length ? rows : count
    const gradient = g.persistent(`gradient ${i}`, gradientRegion, offsets[i]!, shape, width)
    const input = g.persistent(`input ${i}`, region, offsets[i]!, shape, width, gradient)
    return i < test.activations.length ? add(g, input, g.persistent('zero', zeros, 0, rows, width)) : input
  })
  const data = test.tables?.(T, capacity) ?? {}
  const tables: Record<string, Tensor> = {}
  for (const [key, { data: values, columns }] of Object.entries(data)) {
    const dtype = values instanceof Int32Array ? 'i32' : 'f32'
    tables[key] = columns ? g.host(key, rows, columns, dtype) : g.host(key, values.length, 1, dtype)
  }
  const dout = test.seeded ? g.host('dout', rows, 2) : undefined
  const y = test.build(g, inputs, tables, dout)
  const dy = dout ?? g.host('dy', y.rows, y.width)
  const backward = buildBackward(g, dout ? [] : [[y, dy]])
  const loaded = executor.load(planGraph(g, { phases: { forward: forwardCalls(g), backward } }))
  for (const [key, { data: values }] of Object.entries(data)) loaded.write(tables[key]!, values)
  return { loaded, y, dy, region, gradientRegion, offsets, total }
}

async function runGradientCase(executor: Executor, test: GradientCase, T: number): Promise<ConformanceResult> {
  const prepared = prepare(executor, test, T)
  const { loaded, y, dy, region, gradientRegion, offsets, total } = prepared
  const widths = [...test.activations.map((width) => [T, width] as const), ...test.parameters]
  const data = widths.map(([count, width], i) => randomValues(count * width, 17 + i * 101 + T))
  executor.writeRegion(region, 0, new Float32Array(total).fill(Number.NaN))
  for (const [i, values] of data.entries()) executor.writeRegion(region, offsets[i]!, values)
  const seed = randomValues(T * dy.width, 5)
  const backward = async (values: Float32Array) => {
    executor.writeRegion(gradientRegion, 0, new Float32Array(total).fill(MARK))
    loaded.write(dy, values)
    await loaded.run('forward', { T })
    await loaded.run('backward', { T })
    return executor.readRegion(gradientRegion, 0, total)
  }
  const forward = async () => {
    await loaded.run('forward', { T })
    return (await loaded.read(y, T)) as Float32Array
  }
  const output = await forward()
  const gradients = await backward(seed)
  const reference = test.reference(T)
  const inputs = data.map((values) => Float64Array.from(values))
  const columns = test.columns ?? y.width
  const outcome = (got: Float32Array) => ({ got: firstColumns(got, y.width, columns), want: reference(inputs) })
  const checked = inputs.slice(0, test.gradients ?? inputs.length)
  const faults = strayWrites(gradients, offsets, T > 0 ? checked : [])
  const result = {
    valueError: largestError(outcome(output)),
    gradientError: T > 0 ? gradientError(reference, { inputs, widths, checked }, seed, gradients, offsets) : 0,
  }
  if (T > 0) {
    const poisoning = {
      inputs,
      write: (i: number, at: number, x: number) => executor.writeRegion(region, offsets[i]! + at, Float32Array.of(x)),
    }
    faults.push(...(await poisonInputs(poisoning, async () => outcome(await forward()))))
    const poisoned = await backward(seed.map((value, i) => (i >= seed.length - dy.width ? Number.NaN : value)))
    for (const [i, { length }] of checked.entries())
      if (!poisoned.subarray(offsets[i]!, offsets[i]! + length).some(Number.isNaN))
        faults.push(`NaN in the gradient of the last row of the output does not reach the gradient of input ${i}`)
  }
  loaded.free()
  return { ...result, faults, output, gradients }
}

interface Probed {
  readonly inputs: readonly Float64Array[]
  /** [rows, width] of each. */
  readonly widths: readonly (readonly [number, number])[]
  /** The leading inputs, which have gradients. */
  readonly checked: readonly Float64Array[]
}

interface Poisoning {
  readonly inputs: readonly Float64Array[]
  write(input: number, index: number, value: number): void
}

/** A NaN as the first element of each input, or as the last where the first is not used. */
async function poisonInputs({ inputs, write }: Poisoning, forward: () => Promise<Outcome>): Promise<string[]> {
  const faults: string[] = []
  for (const [i, values] of inputs.entries()) {
    let found: string[] = []
    for (const index of [0, values.length - 1]) {
      const kept = values[index]!
      values[index] = Number.NaN
      write(i, index, Number.NaN)
      const outcome = await forward()
      values[index] = kept
      write(i, index, kept)
      found = nanFaults(`NaN in input ${i}`, outcome)
      if (Array.from(outcome.want).some(Number.isNaN)) break
    }
    faults.push(...found)
  }
  return faults
}

function firstColumns(values: Float32Array, width: number, columns: number): Float32Array {
  return columns === width ? values : values.filter((_, index) => index % width < columns)
}

function worst(error: number, got: number, want: number): number {
  const difference = Math.abs(got - want) / (1 + Math.abs(want))
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference)
}

function largestError({ got, want }: Outcome): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY
  let error = 0
  for (let i = 0; i < want.length; i++) error = worst(error, got[i]!, want[i]!)
  return error
}

/** Where the reference is NaN the kernel must be, and nowhere else. */
function nanFaults(what: string, { got, want }: Outcome): string[] {
  for (let i = 0; i < want.length; i++)
    if (Number.isNaN(got[i]) !== Number.isNaN(want[i]))
      return [`${what}: element ${i} of the output is ${got[i]}, the reference's is ${want[i]}`]
  return Array.from(want).some(Number.isNaN) ? [] : [`${what}: the reference has no NaN, the case shows nothing`]
}

/** Elements of the gradient region outside the live gradients keep the mark. */
function strayWrites(gradients: Float32Array, offsets: readonly number[], checked: readonly Float64Array[]): string[] {
  const live = new Uint8Array(gradients.length)
  for (const [i, { length }] of checked.entries()) live.fill(1, offsets[i]!, offsets[i]! + length)
  const stray = gradients.findIndex((value, i) => !live[i] && value !== MARK)
  return stray < 0
    ? []
    : [`element ${stray} of the gradients lies outside the live ones and became ${gradients[stray]}`]
}

/**
 * Gradients against central differences of the reference: one by one at the corners of each input and at one element within, where the ends of
 * rows and columns are, and for each input along a direction of +1 and -1, which no element is missing from. What is wrong in a single element
 * shows there too, for the error is taken relative to the length of the gradient, not to the sum of its elements.
 */
function gradientError(
  reference: Reference,
  { inputs, widths, checked }: Probed,
  seed: Float32Array,
  gradients: Float32Array,
  offsets: readonly number[],
): number {
  const loss = () => reference(inputs).reduce((sum, value, index) => sum + value * seed[index]!, 0)
  let error = 0
  for (const [i, values] of checked.entries()) {
    const got = Float64Array.from(values, (_, index) => gradients[offsets[i]! + index]! - MARK)
    const kept = values.slice()
    const slope = (move: (step: number) => void) => {
      move(STEP)
      const up = loss()
      values.set(kept)
      move(-STEP)
      const down = loss()
      values.set(kept)
      return (up - down) / (2 * STEP)
    }
    for (const index of probesOf(values.length, widths[i]![1]))
      error = worst(
        error,
        got[index]!,
        slope((step) => (values[index]! += step)),
      )
    const direction = randomValues(values.length, 71 + i).map((value) => (value < 0 ? -1 : 1))
    const along = slope((step) => {
      for (let index = 0; index < values.length; index++) values[index]! += step * direction[index]!
    })
    const difference = got.reduce((sum, value, index) => sum + value * direction[index]!, -along)
    error = worst(error, difference / (1 + Math.hypot(...got)), 0)
  }
  return error
}

/** First and last column of the first and the last row, and an element between. */
function probesOf(length: number, width: number): Set<number> {
  return new Set([0, width - 1, length - width, length - 1, 7919 % length])
}
