/**
 * A plan in the CPU executor's memory: an arena, and a job record of 32 words for each call. A run patches the live words and enters
 * WebAssembly once; it allocates nothing.
 */
import type { Live, LoadedPlan, LoadOptions } from '../executor.ts'
import type { Tensor } from '../graph.ts'
import { kernels } from '../ops/index.ts'
import { liveValue, type Plan, wordValue } from '../plan.ts'
import { checkRead, checkRun, checkWrite } from '../plan-access.ts'
import type { CpuExecutor } from './executor.ts'
import { meetings } from './meetings.ts'
import { Panels, writtenRegions } from './panels.ts'

export const JOB_BYTES = 128
const JOB_WORDS = JOB_BYTES / 4
/** Where a product finds the panels of its weight. */
const PANELS = 9
const CHUNK_COUNTER = 10
const FIRST_WORD = 11
/** The next call may begin before this one has ended. */
const OPEN = 31
const kernelIds = new Map(kernels.map((kernel, id) => [kernel, id]))

/** A word that changes from run to run: `factor` times the value of `name`. */
interface LiveWord {
  readonly at: number
  readonly float: boolean
  readonly name: string
  readonly factor: number
}

/** All words of a phase that one value sets: places of floats, places and factors of integers. */
interface LiveSlots {
  readonly name: string
  readonly floats: Int32Array
  readonly integers: Int32Array
  readonly factors: Int32Array
}

function slotsOf(words: readonly LiveWord[]): LiveSlots[] {
  return [...new Set(words.map(({ name }) => name))].map((name) => {
    const own = words.filter((word) => word.name === name)
    const integers = own.filter(({ float }) => !float)
    return {
      name,
      floats: Int32Array.from(
        own.filter(({ float }) => float),
        ({ at }) => at,
      ),
      integers: Int32Array.from(integers, ({ at }) => at),
      factors: Int32Array.from(integers, ({ factor }) => factor),
    }
  })
}

export class CpuPlan implements LoadedPlan {
  readonly plan: Plan
  private readonly executor: CpuExecutor
  private readonly arena: number
  private readonly jobs: number
  private ints: Int32Array
  private floats: Float32Array
  /** Of each phase. */
  private readonly liveSlots: Readonly<Record<string, readonly LiveSlots[]>>
  /** Regions that each phase writes. */
  private readonly written: Readonly<Record<string, readonly string[]>>
  private readonly panels: Panels | null
  private readonly capacities: readonly (readonly [string, number])[]
  private freed = false

  constructor(executor: CpuExecutor, plan: Plan, { manyRuns = false }: LoadOptions = {}) {
    this.executor = executor
    this.plan = plan
    this.capacities = Object.entries(plan.capacities)
    this.arena = executor.take('arena', plan.arenaByteLength)
    this.jobs = executor.take('job records', plan.steps.length * JOB_BYTES)
    this.panels = manyRuns ? new Panels(executor, plan) : null
    // reads of memory that no call has written show as NaN
    executor.floats(this.arena, plan.arenaByteLength / 4).fill(Number.NaN)
    this.ints = executor.ints(this.jobs, plan.steps.length * JOB_WORDS)
    this.floats = executor.floats(this.jobs, plan.steps.length * JOB_WORDS)
    this.ints.fill(0)
    const live = plan.steps.map((_, index) => this.record(index))
    for (const { first, count } of Object.values(plan.phases))
      for (const [i, meet] of meetings(plan.steps.slice(first, first + count)).entries())
        this.ints[(first + i) * JOB_WORDS + OPEN] = meet ? 0 : 1
    this.liveSlots = Object.fromEntries(
      Object.entries(plan.phases).map(([name, { first, count }]) => [
        name,
        slotsOf(live.slice(first, first + count).flat()),
      ]),
    )
    this.written = Object.fromEntries(
      Object.entries(plan.phases).map(([name, { first, count }]) => [
        name,
        [...writtenRegions(plan.steps.slice(first, first + count))],
      ]),
    )
  }

  write(tensor: Tensor, data: Float32Array | Int32Array, elementOffset = 0): void {
    this.checkUsable('write')
    const placement = checkWrite(this.plan, tensor, data, elementOffset)
    this.executor.copyIn(this.executor.address(placement, this.arena) + elementOffset * 4, data)
    if (placement.region !== null) this.executor.noteWrite(placement.region)
  }

  async read(tensor: Tensor, rows?: number): Promise<Float32Array | Int32Array> {
    this.checkUsable('read')
    const { placement, length } = checkRead(this.plan, tensor, rows)
    const byteOffset = this.executor.address(placement, this.arena)
    return tensor.dtype === 'i32'
      ? this.executor.copyOutInts(byteOffset, length)
      : this.executor.copyOutFloats(byteOffset, length)
  }

  run(phase: string, live: Live = {}): void {
    this.checkUsable('run')
    const range = checkRun(this.plan, this.capacities, phase, live)
    if (!this.executor.isCurrent(this.ints)) {
      this.ints = this.executor.ints(this.jobs, this.plan.steps.length * JOB_WORDS)
      this.floats = this.executor.floats(this.jobs, this.plan.steps.length * JOB_WORDS)
    }
    const { ints } = this
    for (const { name, floats, integers, factors } of this.liveSlots[phase]!) {
      const value = liveValue(name, live)
      for (let i = 0; i < floats.length; i++) this.floats[floats[i]!] = value
      for (let i = 0; i < integers.length; i++) ints[integers[i]!] = value * factors[i]!
    }
    for (let index = range.first; index < range.first + range.count; index++)
      ints[index * JOB_WORDS + CHUNK_COUNTER] = 0
    this.panels?.refresh()
    for (const region of this.written[phase]!) this.executor.noteWrite(region)
    this.executor.run(this.jobs + range.first * JOB_BYTES, range.count)
  }

  free(): void {
    if (this.freed) return
    this.freed = true
    this.executor.release(this, [
      [this.arena, this.plan.arenaByteLength],
      [this.jobs, this.plan.steps.length * JOB_BYTES],
      ...(this.panels && this.panels.byteLength > 0 ? [[this.panels.byteOffset, this.panels.byteLength] as const] : []),
    ])
  }

  private checkUsable(what: string): void {
    this.executor.check()
    if (this.freed) throw new Error(`${what}: this plan was freed. Load it again.`)
  }

  /** Writes the record of a call but for its live words, which it returns. */
  private record(index: number): LiveWord[] {
    const { kernel, bindings, words } = this.plan.steps[index]!
    const id = kernelIds.get(kernel)
    if (id === undefined)
      throw new Error(
        `cpu: no kernel ${kernel.name} in the build. Export it from the file of its op and run npm run build.`,
      )
    const first = index * JOB_WORDS
    this.ints[first] = id
    for (const [slot, placement] of bindings.entries())
      this.ints[first + 1 + slot] = this.executor.address(placement, this.arena)
    this.ints[first + PANELS] = this.panels?.ofStep.get(index) ?? 0
    const live: LiveWord[] = []
    for (const [slot, { float, word }] of words.entries()) {
      const at = first + FIRST_WORD + slot
      if ('live' in word) live.push({ at, float, name: word.live, factor: 1 })
      else if ('rows' in word && word.rows.symbol !== null)
        live.push({ at, float, name: word.rows.symbol, factor: word.rows.count })
      else (float ? this.floats : this.ints)[at] = wordValue(word, {})
    }
    return live
  }
}
