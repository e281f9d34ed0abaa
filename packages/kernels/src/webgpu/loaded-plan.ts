/**
 * A plan on a WebGPU device: an arena, a 256-byte slot of words for each call, a bind group for each call. A run patches the live words and
 * submits one command buffer.
 *
 * A persistent slice may start where the device cannot bind (say at byte 96, on a device that asks for 256). Such a binding goes through a
 * copy: slice -> staging before the call, staging -> slice after it if the call writes it. It costs two copies and a break in the pass; slices that start
 * at multiples of 64 elements never need it.
 */
import type { Live, LoadedPlan } from '../executor.ts'
import type { Tensor } from '../graph.ts'
import { type Placement, type Plan, type PlanStep, wordValue } from '../plan.ts'
import { checkRead, checkRun, checkWrite } from '../plan-access.ts'
import type { WebGpuExecutor } from './executor.ts'
import type { RunTime } from './patience.ts'
import { SLOT_BYTES } from './pipelines.ts'

const SLOT = SLOT_BYTES / 4
const CANARY_BYTES = 4 * 2 ** 20

/** A slice that is bound through the staging buffer. */
interface Detour {
  readonly slice: GPUBuffer
  readonly byteOffset: number
  readonly stagingOffset: number
  readonly byteLength: number
  readonly written: boolean
}

interface Step {
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  readonly detours: readonly Detour[]
  /** Slots of words that change from run to run. */
  readonly liveSlots: readonly number[]
  /** Integer words by name, for the workgroup count. */
  readonly view: Record<string, number>
  workgroups: readonly [number, number, number]
}

export class WebGpuPlan implements LoadedPlan {
  readonly plan: Plan
  private readonly executor: WebGpuExecutor
  private readonly arena: GPUBuffer
  private readonly words: GPUBuffer
  private readonly staging: GPUBuffer | null
  private readonly steps: readonly Step[]
  private readonly ints: Int32Array<ArrayBuffer>
  private readonly floats: Float32Array<ArrayBuffer>
  /** Phases that have run once without an error. */
  private readonly proven = new Set<string>()
  private readonly times: Readonly<Record<string, RunTime>>
  private readonly capacities: readonly (readonly [string, number])[]
  private freed = false

  constructor(executor: WebGpuExecutor, plan: Plan) {
    this.executor = executor
    this.plan = plan
    // before anything is allocated
    checkFits(plan, executor.device.limits)
    this.times = Object.fromEntries(Object.keys(plan.phases).map((name) => [name, { startedMs: 0, expectedMs: 0 }]))
    this.capacities = Object.entries(plan.capacities)
    this.arena = executor.createBuffer('arena', plan.arenaByteLength)
    this.words = executor.createBuffer('words', plan.steps.length * SLOT_BYTES, GPUBufferUsage.UNIFORM)
    this.ints = new Int32Array(Math.max(1, plan.steps.length) * SLOT)
    this.floats = new Float32Array(this.ints.buffer)
    const stagingBytes = Math.max(0, ...plan.steps.map((step) => this.stagingBytes(step)))
    this.staging = stagingBytes > 0 ? executor.createBuffer('staging', stagingBytes) : null
    this.steps = executor.guard('bind groups', () => plan.steps.map((step, index) => this.build(step, index)))
    executor.write(this.words, 0, this.ints)
    executor.guard('canaries', () => this.fillWithNaN())
  }

  write(tensor: Tensor, data: Float32Array | Int32Array, elementOffset = 0): void {
    this.checkUsable('write')
    const placement = checkWrite(this.plan, tensor, data, elementOffset)
    this.executor.write(this.buffer(placement), placement.byteOffset + elementOffset * 4, data)
  }

  async read(tensor: Tensor, rows?: number): Promise<Float32Array | Int32Array> {
    this.checkUsable('read')
    const { placement, length } = checkRead(this.plan, tensor, rows)
    const bytes = await this.executor.read(this.buffer(placement), placement.byteOffset, length * 4)
    return tensor.dtype === 'i32' ? new Int32Array(bytes) : new Float32Array(bytes)
  }

  /** The first run of a phase resolves when the device has accepted it; later ones are only submitted. */
  run(phase: string, live: Live = {}): Promise<void> | void {
    this.checkUsable('run')
    const range = checkRun(this.plan, this.capacities, phase, live)
    this.executor.counts.runs++
    this.patch(range.first, range.count, live)
    this.executor.patience.started(this.times[phase]!)
    if (this.proven.has(phase)) return this.submit(range.first, range.count)
    this.executor.guard(`phase ${phase}`, () => this.submit(range.first, range.count))
    return this.executor.settle().then(() => void this.proven.add(phase))
  }

  free(): void {
    if (this.freed) return
    this.freed = true
    const buffers = [this.arena, this.words, this.staging].filter((buffer) => buffer !== null)
    this.executor.release(this, buffers)
  }

  private checkUsable(what: string): void {
    this.executor.check()
    if (this.freed) throw new Error(`${what}: this plan was freed. Load it again.`)
  }

  private buffer(placement: Placement): GPUBuffer {
    return placement.region === null ? this.arena : this.executor.region(placement.region, 0)
  }

  private aligned(placement: Placement): boolean {
    return placement.byteOffset % this.executor.alignment === 0
  }

  private stagingBytes(step: PlanStep): number {
    return step.bindings.reduce((sum, at) => sum + (this.aligned(at) ? 0 : roomFor(at)), 0)
  }

  private build(step: PlanStep, index: number): Step {
    const { kernel, bindings, words } = step
    const { device, pipelines } = this.executor
    const detours: Detour[] = []
    let stagingOffset = 0
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: this.words, offset: index * SLOT_BYTES, size: SLOT_BYTES } },
    ]
    for (const [i, placement] of bindings.entries()) {
      const { byteOffset, byteLength } = placement
      const buffer = this.buffer(placement)
      if (this.aligned(placement)) {
        entries.push({ binding: i + 1, resource: { buffer, offset: byteOffset, size: byteLength } })
        continue
      }
      const written = kernel.bindings[i]!.startsWith('+')
      detours.push({ slice: buffer, byteOffset, stagingOffset, byteLength, written })
      entries.push({ binding: i + 1, resource: { buffer: this.staging!, offset: stagingOffset, size: byteLength } })
      stagingOffset += roomFor(placement)
    }
    const view: Record<string, number> = {}
    const liveSlots: number[] = []
    for (const [slot, { name, float, word }] of words.entries()) {
      const fixed = 'i' in word || 'f' in word || ('rows' in word && word.rows.symbol === null)
      if (!fixed) liveSlots.push(slot)
      const value = fixed ? wordValue(word, {}) : 0
      ;(float ? this.floats : this.ints)[index * SLOT + slot] = value
      if (!float) view[name] = value
    }
    this.executor.counts.bindings++
    return {
      pipeline: pipelines.pipeline(kernel),
      bindGroup: device.createBindGroup({ label: kernel.name, layout: pipelines.layout(bindings.length), entries }),
      detours,
      liveSlots,
      view,
      workgroups: this.workgroups(step, view),
    }
  }

  private workgroups({ kernel }: PlanStep, view: Readonly<Record<string, number>>): readonly [number, number, number] {
    const workgroups = kernel.workgroups(view)
    const most = this.executor.device.limits.maxComputeWorkgroupsPerDimension
    if (Math.max(...workgroups) > most)
      throw new Error(
        `webgpu: ${kernel.name} must have at most ${most} workgroups in a dimension, got ${workgroups}. Use a smaller batch.`,
      )
    return workgroups
  }

  /** Writes the live words that changed, and counts workgroups anew where they did. */
  private patch(first: number, count: number, live: Live): void {
    let [from, to] = [-1, -1]
    for (let index = first; index < first + count; index++) {
      const step = this.steps[index]!
      const planned = this.plan.steps[index]!
      let [changed, resized] = [false, false]
      for (const slot of step.liveSlots) {
        const { name, float, word } = planned.words[slot]!
        const array = float ? this.floats : this.ints
        const before = array[index * SLOT + slot]
        const value = wordValue(word, live)
        array[index * SLOT + slot] = value
        if (array[index * SLOT + slot] === before) continue
        changed = true
        if (float) continue
        step.view[name] = value
        resized = true
      }
      if (resized) step.workgroups = this.workgroups(planned, step.view)
      if (!changed) continue
      if (from < 0) from = index
      to = index
    }
    if (from >= 0) this.executor.write(this.words, from * SLOT_BYTES, this.ints.subarray(from * SLOT, (to + 1) * SLOT))
  }

  private submit(first: number, count: number): void {
    const { device } = this.executor
    const encoder = device.createCommandEncoder()
    let pass: GPUComputePassEncoder | null = null
    const endPass = () => {
      pass?.end()
      pass = null
    }
    for (let index = first; index < first + count; index++) {
      const { pipeline, bindGroup, workgroups, detours } = this.steps[index]!
      // no row lives: nothing to write
      if (workgroups[0] * workgroups[1] * workgroups[2] === 0) continue
      if (detours.length > 0) endPass()
      for (const { slice, byteOffset, stagingOffset, byteLength } of detours)
        encoder.copyBufferToBuffer(slice, byteOffset, this.staging!, stagingOffset, byteLength)
      pass ??= encoder.beginComputePass()
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, bindGroup)
      pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2])
      if (!detours.some(({ written }) => written)) continue
      endPass()
      for (const { slice, byteOffset, stagingOffset, byteLength, written } of detours)
        if (written) encoder.copyBufferToBuffer(this.staging!, stagingOffset, slice, byteOffset, byteLength)
    }
    endPass()
    device.queue.submit([encoder.finish()])
    this.executor.counts.starts++
  }

  /** Reads of memory that no call has written show as NaN. */
  private fillWithNaN(): void {
    const { device } = this.executor
    const size = Math.min(CANARY_BYTES, this.arena.size)
    const canary = device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC, mappedAtCreation: true })
    new Float32Array(canary.getMappedRange()).fill(Number.NaN)
    canary.unmap()
    const encoder = device.createCommandEncoder()
    for (let start = 0; start < this.arena.size; start += size)
      encoder.copyBufferToBuffer(canary, 0, this.arena, start, Math.min(size, this.arena.size - start))
    device.queue.submit([encoder.finish()])
    canary.destroy()
  }
}

/** What a device can bind and what its kernels are written for. */
function checkFits(plan: Plan, limits: GPUSupportedLimits): void {
  const most = limits.maxStorageBufferBindingSize
  for (const { kernel, bindings, words } of plan.steps) {
    for (const [i, { byteLength }] of bindings.entries())
      if (byteLength > most)
        throw new Error(
          `webgpu: ${kernel.name}: ${kernel.bindings[i]} must have at most the device's ${most} bytes a binding, got ${byteLength}. Use a smaller model or batch, or --device cpu.`,
        )
    for (const { name, word } of words) {
      const limit = kernel.most[name]
      if (limit !== undefined && 'i' in word && word.i > limit)
        throw new Error(
          `webgpu: ${kernel.name}: ${name} must be at most ${limit}, got ${word.i}. Use a model with a smaller ${name}, or --device cpu.`,
        )
    }
  }
}

function roomFor({ byteLength }: Placement): number {
  return Math.ceil(byteLength / 256) * 256
}
