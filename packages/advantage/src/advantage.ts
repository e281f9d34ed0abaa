/**
 * Typed loader of the AssemblyScript advantage kernel: flat arrays in, flat arrays out.
 * Source: group-relative advantages (GRPO) and AXPO's two streams, arXiv 2605.28774 Eq. 2-4.
 *
 * Legend. Groups are contiguous: group g holds rewards[offsets[g] .. offsets[g + 1]). P selected prefixes; prefix p's continuations are
 * continuationRewards[continuationOffsets[p] .. continuationOffsets[p + 1]). All arithmetic in f64.
 */

export interface AdvantageOptions {
  /** Delta degrees of freedom of the standard deviation: 1 = sample (verl, TRL), 0 = population (NumPy's default). */
  readonly ddof: 0 | 1
  /** Added to the standard deviation; dimensionless. verl 1e-6, TRL 1e-4. */
  readonly epsilon: number
  /** 'group': divide by the group's standard deviation; 'none': only subtract the mean (Dr. GRPO). */
  readonly scale: 'group' | 'none'
}

/** verl's defaults, the framework the paper used. */
export const defaultAdvantageOptions: AdvantageOptions = { ddof: 1, epsilon: 1e-6, scale: 'group' }

export interface AxpoInput {
  /** Original outcome rewards of all rollouts. */
  readonly rewards: ArrayLike<number>
  readonly offsets: ArrayLike<number>
  /** Index into `rewards` of each selected prefix's source [P]. */
  readonly sources: ArrayLike<number>
  /** Rewards of the continuations of all prefixes. */
  readonly continuationRewards: ArrayLike<number>
  readonly continuationOffsets: ArrayLike<number>
  /** Reward put in each source's place (Eq. 3 and 4) [P]. Default, for rewards of 0 and 1: 1 where a continuation has reward 1, else 0. */
  readonly substitutes?: ArrayLike<number>
}

export interface AxpoAdvantages {
  /** Ordinary group advantages of all rollouts; a selected source's value is to be replaced by `prefix`, on its prefix tokens only. */
  readonly rollouts: Float64Array
  /** Eq. 2: one a continuation, normalised inside its prefix. */
  readonly continuations: Float64Array
  /** Eq. 3 for rewards of 0 and 1: 1 where a continuation of the prefix has reward 1 [P]. */
  readonly recovered: Float64Array
  /** Eq. 4: the source's advantage with `substitutes` in its place [P]. */
  readonly prefixes: Float64Array
}

interface Exports {
  readonly memory: WebAssembly.Memory
  groupAdvantages(
    rewards: number,
    offsets: number,
    groups: number,
    ddof: number,
    epsilon: number,
    scale: number,
    out: number,
  ): void
  axpoAdvantages(...pointersAndScalars: number[]): void
}

export interface Advantage {
  group(rewards: ArrayLike<number>, offsets: ArrayLike<number>, options?: AdvantageOptions): Float64Array
  axpo(input: AxpoInput, options?: AdvantageOptions): AxpoAdvantages
}

function checkRewards(op: string, rewards: ArrayLike<number>): void {
  for (let i = 0; i < rewards.length; i++)
    if (!Number.isFinite(rewards[i]))
      throw new Error(
        `${op}: rewards must be finite, got ${rewards[i]} at ${i}. Grade every rollout before asking for advantages.`,
      )
}

function checkOffsets(op: string, name: string, offsets: ArrayLike<number>, total: number): void {
  let previous = 0
  if (offsets.length === 0 || offsets[0] !== 0) throw new Error(`${op}: ${name} must start with 0, got ${offsets[0]}.`)
  for (let g = 0; g < offsets.length; g++) {
    const at = offsets[g]!
    if (!Number.isInteger(at) || at < previous)
      throw new Error(`${op}: ${name} must be non-decreasing integers, got ${at} after ${previous}.`)
    previous = at
  }
  if (previous !== total) throw new Error(`${op}: ${name} must end at ${total}, got ${previous}.`)
}

/** Group that holds index i, by binary search. */
function groupOf(offsets: ArrayLike<number>, i: number): number {
  let low = 0
  let high = offsets.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (offsets[middle]! <= i) low = middle
    else high = middle - 1
  }
  return low
}

/** Places arrays one after another in the kernel's memory, grown as needed. */
class Arena {
  /** The kernel has no data of its own beyond the first bytes. */
  private top = 1024
  private readonly memory: WebAssembly.Memory
  constructor(memory: WebAssembly.Memory) {
    this.memory = memory
  }
  private reserve(byteLength: number): number {
    const at = this.top
    this.top = (at + byteLength + 15) & ~15
    const missing = this.top - this.memory.buffer.byteLength
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536))
    return at
  }
  f64(values: ArrayLike<number>): number {
    const at = this.reserve(values.length * 8)
    new Float64Array(this.memory.buffer, at, values.length).set(values)
    return at
  }
  i32(values: ArrayLike<number>): number {
    const at = this.reserve(values.length * 4)
    new Int32Array(this.memory.buffer, at, values.length).set(values)
    return at
  }
  out(count: number): number {
    return this.reserve(count * 8)
  }
  read(at: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, at, count).slice()
  }
}

function bind(kernel: Exports): Advantage {
  const group: Advantage['group'] = (rewards, offsets, options = defaultAdvantageOptions) => {
    checkRewards('group', rewards)
    checkOffsets('group', 'offsets', offsets, rewards.length)
    const arena = new Arena(kernel.memory)
    const r = arena.f64(rewards)
    const o = arena.i32(offsets)
    const out = arena.out(rewards.length)
    kernel.groupAdvantages(
      r,
      o,
      offsets.length - 1,
      options.ddof,
      options.epsilon,
      options.scale === 'group' ? 1 : 0,
      out,
    )
    return arena.read(out, rewards.length)
  }
  const recoveries = ({ continuationRewards, continuationOffsets }: AxpoInput, prefixes: number): Float64Array =>
    Float64Array.from({ length: prefixes }, (_, p) => {
      for (let k = continuationOffsets[p]!; k < continuationOffsets[p + 1]!; k++)
        if (continuationRewards[k] === 1) return 1
      return 0
    })
  const axpo: Advantage['axpo'] = (input, options = defaultAdvantageOptions) => {
    const { rewards, offsets, sources, continuationRewards, continuationOffsets } = input
    const rollouts = group(rewards, offsets, options)
    checkRewards('axpo', continuationRewards)
    checkOffsets('axpo', 'continuationOffsets', continuationOffsets, continuationRewards.length)
    if (continuationOffsets.length !== sources.length + 1)
      throw new Error(
        `axpo: continuationOffsets must have ${sources.length + 1} entries, got ${continuationOffsets.length}.`,
      )
    const groups = Array.from({ length: sources.length }, (_, p) => {
      const source = sources[p]!
      if (!Number.isInteger(source) || source < 0 || source >= rewards.length)
        throw new Error(`axpo: source ${p} must index one of ${rewards.length} rollouts, got ${source}.`)
      return groupOf(offsets, source)
    })
    const recovered = recoveries(input, sources.length)
    const substitutes = input.substitutes ?? recovered
    if (substitutes.length !== sources.length)
      throw new Error(`axpo: substitutes must have ${sources.length} entries, got ${substitutes.length}.`)
    checkRewards('axpo', substitutes)
    const arena = new Arena(kernel.memory)
    const pointers = [arena.f64(rewards), arena.i32(offsets), arena.i32(sources), arena.i32(groups)]
    const resampled = [arena.f64(continuationRewards), arena.i32(continuationOffsets)]
    const outs = [arena.out(continuationRewards.length), arena.f64(substitutes), arena.out(sources.length)] as const
    kernel.axpoAdvantages(
      ...pointers,
      sources.length,
      ...resampled,
      options.ddof,
      options.epsilon,
      options.scale === 'group' ? 1 : 0,
      ...outs,
    )
    return {
      rollouts,
      continuations: arena.read(outs[0], continuationRewards.length),
      recovered,
      prefixes: arena.read(outs[2], sources.length),
    }
  }
  return { group, axpo }
}

async function kernelBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL('../build/advantage.wasm', import.meta.url)
  if (url.protocol !== 'file:') return new Uint8Array(await (await fetch(url)).arrayBuffer())
  const { readFile } = await import('node:fs/promises')
  return Uint8Array.from(
    await readFile(url).catch(() => {
      throw new Error(`loadAdvantage: ${url.pathname} is missing. Build it with: pnpm --filter @axpo/advantage build`)
    }),
  )
}

/** Instantiates the kernel, from this package's build or from given bytes (a bundler, a browser without files). */
export async function loadAdvantage(bytes?: Uint8Array<ArrayBuffer>): Promise<Advantage> {
  const { instance } = await WebAssembly.instantiate(bytes ?? (await kernelBytes()), {})
  return bind(instance.exports as unknown as Exports)
}
