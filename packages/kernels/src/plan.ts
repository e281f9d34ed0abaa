/**
 * Decides, once a shape, where every tensor lies and which kernel calls run in which order. Pure: no device, no memory.
 * Offsets come from liveness over the calls of all phases, first fit, 256-byte aligned (the WebGPU binding rule).
 */
import type { Graph, Tensor } from './graph.ts'
import type { Emit, KernelSpec, Word } from './ops/definition.ts'

export interface Call {
  readonly kernel: KernelSpec
  readonly tensors: Readonly<Record<string, Tensor>>
  readonly words: Readonly<Record<string, Word>>
}

/** Bytes of a tensor in the plan's arena (region null) or in a persistent region. */
export interface Placement {
  readonly region: string | null
  readonly byteOffset: number
  readonly byteLength: number
}

export interface PlanWord {
  readonly name: string
  readonly float: boolean
  readonly word: Word
}

export interface PlanStep {
  readonly kernel: KernelSpec
  /** In the kernel's binding order. */
  readonly bindings: readonly Placement[]
  /** In the kernel's word order. */
  readonly words: readonly PlanWord[]
}

export interface Plan {
  readonly arenaByteLength: number
  readonly steps: readonly PlanStep[]
  readonly phases: Readonly<Record<string, { readonly first: number; readonly count: number }>>
  readonly capacities: Readonly<Record<string, number>>
  /** Elements each persistent region must have. */
  readonly regions: Readonly<Record<string, number>>
  /** Where a tensor lies; throws for tensors no call uses. */
  place(tensor: Tensor): Placement
  /** 32-bit FNV of steps and places: equal plans have equal hashes. */
  readonly hash: string
}

const ALIGNMENT = 256

/** The kernel calls of the graph's ops, in order. */
export function forwardCalls(graph: Graph): Call[] {
  const calls: Call[] = []
  const emit: Emit = (kernel, tensors, words) => calls.push({ kernel, tensors, words })
  for (const op of graph.ops) op.definition.forward(op, emit)
  return calls
}

/** Value of a word in a run. Rows are `count` times the live symbol. */
export function wordValue(word: Word, live: Readonly<Record<string, number>>): number {
  if ('i' in word) return word.i
  if ('f' in word) return word.f
  const name = 'live' in word ? word.live : word.rows.symbol
  if (name === null) return (word as { rows: { count: number } }).rows.count
  return 'live' in word ? liveValue(name, live) : liveValue(name, live) * word.rows.count
}

/** Value of a symbol or a live float in a run. */
export function liveValue(name: string, live: Readonly<Record<string, number>>): number {
  const value = live[name]
  if (value === undefined) throw new Error(`run: no value for ${name}. Pass it in the live values of run().`)
  return value
}

export interface PlanOptions {
  /** Calls of each phase, in the order the phases run. Default: { forward: forwardCalls(graph) }. */
  readonly phases?: Readonly<Record<string, readonly Call[]>>
}

export function planGraph(graph: Graph, options: PlanOptions = {}): Plan {
  const phaseCalls = options.phases ?? { forward: forwardCalls(graph) }
  const calls = Object.values(phaseCalls).flat()
  const { offsets, arenaByteLength } = placeArena(graph, calls)
  const place = (tensor: Tensor) => placement(graph, tensor, offsets)
  const steps = calls.map((call) => planStep(call, place))
  const phases: Record<string, { first: number; count: number }> = {}
  let first = 0
  for (const [name, list] of Object.entries(phaseCalls)) {
    phases[name] = { first, count: list.length }
    first += list.length
  }
  const hash = hashText(
    JSON.stringify([
      arenaByteLength,
      graph.capacities,
      phases,
      steps.map((step) => [step.kernel.name, step.bindings, step.words]),
    ]),
  )
  return { arenaByteLength, steps, phases, capacities: graph.capacities, regions: regionSizes(steps), place, hash }
}

function byteLengthOf(graph: Graph, tensor: Tensor): number {
  return graph.capacityRows(tensor.rows) * tensor.width * 4
}

function placement(graph: Graph, tensor: Tensor, offsets: ReadonlyMap<Tensor, number>): Placement {
  const byteLength = byteLengthOf(graph, tensor)
  if (tensor.storage.kind === 'persistent')
    return { region: tensor.storage.region, byteOffset: tensor.storage.offset * 4, byteLength }
  const byteOffset = offsets.get(graph.root(tensor))
  if (byteOffset === undefined) throw new Error(`plan: ${tensor.name} is used by no call of this plan.`)
  return { region: null, byteOffset, byteLength }
}

function planStep({ kernel, tensors, words }: Call, place: (tensor: Tensor) => Placement): PlanStep {
  const bindings = kernel.bindings.map((binding) => {
    const name = binding.replace('+', '')
    const tensor = tensors[name]
    if (!tensor) throw new Error(`plan: ${kernel.name} was given no tensor for ${name}.`)
    return place(tensor)
  })
  for (let i = 0; i < bindings.length; i++)
    for (let j = 0; j < i; j++)
      if (overlaps(bindings[i]!, bindings[j]!))
        throw new Error(
          `plan: ${kernel.name}: ${kernel.bindings[j]} and ${kernel.bindings[i]} overlap. Give them different tensors.`,
        )
  const planWords = kernel.words.map((spelled) => {
    const name = spelled.replace(':f', '')
    const word = words[name]
    if (!word) throw new Error(`plan: ${kernel.name} was given no word ${name}.`)
    return { name, float: spelled.endsWith(':f'), word }
  })
  return { kernel, bindings, words: planWords }
}

function overlaps(a: Placement, b: Placement): boolean {
  return (
    a.region === b.region && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength
  )
}

interface Range {
  readonly tensor: Tensor
  readonly byteLength: number
  first: number
  last: number
}

/** Calls in which each arena tensor lives; host tensors live throughout, also those no call uses. */
function liveRanges(graph: Graph, calls: readonly Call[]): Range[] {
  const ranges = new Map<Tensor, Range>()
  const touch = (tensor: Tensor, call: number) => {
    if (tensor.storage.kind === 'persistent') return
    const root = graph.root(tensor)
    const range = ranges.get(root)
    if (range) range.last = Math.max(range.last, call)
    else ranges.set(root, { tensor: root, byteLength: align(byteLengthOf(graph, root)), first: call, last: call })
  }
  for (const tensor of graph.tensors) {
    if (tensor.storage.kind !== 'arena' || !tensor.storage.host) continue
    touch(tensor, 0)
    touch(tensor, calls.length)
  }
  for (const [index, call] of calls.entries()) for (const tensor of Object.values(call.tensors)) touch(tensor, index)
  return [...ranges.values()]
}

function placeArena(graph: Graph, calls: readonly Call[]): { offsets: Map<Tensor, number>; arenaByteLength: number } {
  const placed: { range: Range; offset: number }[] = []
  const offsets = new Map<Tensor, number>()
  let arenaByteLength = 0
  for (const range of liveRanges(graph, calls).sort(
    (a, b) => b.byteLength - a.byteLength || a.tensor.id - b.tensor.id,
  )) {
    let offset = 0
    for (const other of placed) {
      if (other.range.last < range.first || range.last < other.range.first) continue
      if (other.offset >= offset + range.byteLength) break
      offset = Math.max(offset, other.offset + other.range.byteLength)
    }
    offsets.set(range.tensor, offset)
    const at = placed.findIndex((other) => other.offset > offset)
    placed.splice(at < 0 ? placed.length : at, 0, { range, offset })
    arenaByteLength = Math.max(arenaByteLength, offset + range.byteLength)
  }
  return { offsets, arenaByteLength }
}

function align(byteLength: number): number {
  return Math.max(ALIGNMENT, Math.ceil(byteLength / ALIGNMENT) * ALIGNMENT)
}

function regionSizes(steps: readonly PlanStep[]): Record<string, number> {
  const sizes: Record<string, number> = {}
  for (const { bindings } of steps)
    for (const { region, byteOffset, byteLength } of bindings)
      if (region !== null) sizes[region] = Math.max(sizes[region] ?? 0, (byteOffset + byteLength) / 4)
  return sizes
}

function hashText(text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
