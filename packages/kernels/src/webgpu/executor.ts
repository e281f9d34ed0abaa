/**
 * Runs plans on a WebGPU device: a buffer for each region, an arena and a buffer of words for each plan, bind groups made when the plan is
 * loaded, one submit a run. Not here: opening a device (adapter.ts), compiling (pipelines.ts), running a plan (loaded-plan.ts).
 *
 * Errors of the device arrive late: they are kept and thrown by the next call, and the first run of each phase waits for its own.
 */
import type { Executor, ExecutorCounters, LoadedPlan } from '../executor.ts'
import type { Plan } from '../plan.ts'
import {
  type AdapterDescription,
  type AdapterKind,
  DeviceLostError,
  lostMessage,
  openWebGpu,
  type WebGpu,
} from './adapter.ts'
import { WebGpuPlan } from './loaded-plan.ts'
import { Patience } from './patience.ts'
import { compilePipelines, type Pipelines } from './pipelines.ts'
import { Readback } from './readback.ts'

/** A single writeBuffer is never larger: Dawn stages all of it. */
const WRITE_ELEMENTS = 16 * 2 ** 20

export interface WebGpuOptions {
  /** An open device, which stays its owner's to close. Default: the best adapter of the machine. */
  readonly gpu?: WebGpu
  /** 'refuse' takes a real GPU or nothing. Default 'allow'. */
  readonly software?: 'allow' | 'refuse'
  /** Bytes a bound slice starts at a multiple of; default what the device asks for. Larger values try what other devices ask for. */
  readonly alignment?: number
  /** The adapter kernels are taken for, where they have two WGSL files; default the kind of this one. Another tries what other adapters run. */
  readonly kernels?: AdapterKind
}

/** Throws NoAdapterError where no adapter fits, and an Error naming the kernel where one does not compile. */
export async function createWebGpuExecutor(options: WebGpuOptions = {}): Promise<WebGpuExecutor> {
  // an executor keeps the errors of its device itself
  const gpu =
    options.gpu ?? (await openWebGpu({ software: options.software ?? 'allow', onLost: () => {}, onError: () => {} }))
  try {
    const executor = new WebGpuExecutor(
      gpu,
      await compilePipelines(gpu.device, options.kernels ?? gpu.info.kind),
      options,
    )
    await executor.settle()
    return executor
  } catch (error) {
    if (!options.gpu) gpu.close()
    throw error
  }
}

export class WebGpuExecutor implements Executor {
  readonly kind = 'webgpu' as const
  readonly device: GPUDevice
  readonly info: AdapterDescription
  readonly pipelines: Pipelines
  readonly alignment: number
  readonly patience: Patience
  private readonly gpu: WebGpu
  private readonly ownsGpu: boolean
  private readonly regions = new Map<string, { readonly buffer: GPUBuffer; readonly elements: number }>()
  private readonly readback: Readback
  /** Kept by the plans too. */
  readonly counts = { allocations: 0, bindings: 0, runs: 0, starts: 0 }
  private readonly plans = new Set<LoadedPlan>()
  private readonly unsettled: Promise<void>[] = []
  private failure: Error | null = null
  private closed = false
  /** All that are held, those of reads aside. */
  private readonly buffers = new Set<GPUBuffer>()

  constructor(gpu: WebGpu, pipelines: Pipelines, options: WebGpuOptions) {
    this.gpu = gpu
    this.device = gpu.device
    this.info = gpu.info
    this.pipelines = pipelines
    this.ownsGpu = options.gpu === undefined
    this.alignment = options.alignment ?? gpu.device.limits.minStorageBufferOffsetAlignment
    this.patience = new Patience(gpu.info.kind === 'software')
    this.readback = new Readback(gpu.device, this.patience)
    gpu.device.lost.then(({ reason, message }) => this.fail(new DeviceLostError(lostMessage(reason, message))))
    gpu.device.addEventListener('uncapturederror', ({ error }) => this.fail(invalid('a command', error.message)))
  }

  describe(): string {
    return `WebGPU, ${this.info.kind === 'gpu' ? 'GPU' : 'software adapter'} ${this.info.name}`
  }

  byteLength(): number {
    let total = this.readback.byteLength()
    for (const { size } of this.buffers) total += size
    return total
  }

  counters(): ExecutorCounters {
    const { allocations, readBacks } = this.readback.counts
    return { ...this.counts, allocations: this.counts.allocations + allocations, readBacks }
  }

  allocate(region: string, elements: number): void {
    this.check()
    if (this.regions.has(region)) throw new Error(`allocate: region ${region} exists already.`)
    this.regions.set(region, { buffer: this.createBuffer(`region ${region}`, elements * 4), elements })
  }

  writeRegion(region: string, offset: number, data: Float32Array | Int32Array): void {
    this.check()
    this.write(this.region(region, offset + data.length), offset * 4, data)
  }

  async readRegion(region: string, offset: number, length: number): Promise<Float32Array> {
    return new Float32Array(await this.read(this.region(region, offset + length), offset * 4, length * 4))
  }

  load(plan: Plan): LoadedPlan {
    this.check()
    for (const [name, elements] of Object.entries(plan.regions)) this.region(name, elements)
    const before = new Set(this.buffers)
    try {
      const loaded = new WebGpuPlan(this, plan)
      this.plans.add(loaded)
      return loaded
    } catch (error) {
      for (const buffer of this.buffers) if (!before.has(buffer)) this.destroyBuffer(buffer)
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    await Promise.all(this.unsettled)
    for (const plan of [...this.plans]) plan.free()
    for (const { buffer } of this.regions.values()) this.destroyBuffer(buffer)
    this.regions.clear()
    this.readback.close()
    this.closed = true
    if (this.ownsGpu) this.gpu.close()
  }

  /** The buffer of a region that has at least `elements`. */
  region(name: string, elements: number): GPUBuffer {
    const region = this.regions.get(name)
    if (!region) throw new Error(`webgpu: region ${name} is not allocated. Call allocate('${name}', …) first.`)
    if (elements > region.elements)
      throw new Error(`webgpu: region ${name} has ${region.elements} elements, ${elements} are needed.`)
    return region.buffer
  }

  /** A zeroed buffer kernels can bind. */
  createBuffer(what: string, byteLength: number, usage: GPUBufferUsageFlags = GPUBufferUsage.STORAGE): GPUBuffer {
    this.check()
    const size = Math.max(SMALLEST, Math.ceil(byteLength / 4) * 4)
    const most = this.device.limits.maxBufferSize
    if (size > most)
      throw new Error(
        `webgpu: ${what} must have at most the device's ${most} bytes, got ${size}. Use a smaller model or batch.`,
      )
    const buffer = this.guard(`${what} of ${size} bytes`, () =>
      this.device.createBuffer({ label: what, size, usage: usage | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST }),
    )
    this.buffers.add(buffer)
    this.counts.allocations++
    return buffer
  }

  /** Gives back the buffers of a plan. */
  release(plan: LoadedPlan, buffers: readonly GPUBuffer[]): void {
    this.plans.delete(plan)
    for (const buffer of buffers) this.destroyBuffer(buffer)
  }

  private destroyBuffer(buffer: GPUBuffer): void {
    this.buffers.delete(buffer)
    buffer.destroy()
  }

  write(buffer: GPUBuffer, byteOffset: number, data: Float32Array | Int32Array): void {
    for (let start = 0; start < data.length; start += WRITE_ELEMENTS) {
      const piece = data.subarray(start, start + WRITE_ELEMENTS)
      // WebGPU takes no shared memory
      const owned = piece.buffer instanceof ArrayBuffer ? piece : piece.slice()
      this.device.queue.writeBuffer(buffer, byteOffset + start * 4, owned as Float32Array<ArrayBuffer>)
    }
  }

  async read(buffer: GPUBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    this.check()
    try {
      const bytes = await this.readback.read(buffer, byteOffset, byteLength)
      await this.settle()
      return bytes
    } catch (cause) {
      await this.lossIsKnown()
      this.check()
      throw new Error(`webgpu: ${byteLength} bytes must come back from the device, got ${String(cause)}.`, { cause })
    }
  }

  /** Does `work` and catches the errors of its commands; settle() or any later call throws them. */
  guard<T>(what: string, work: () => T): T {
    const filters: readonly GPUErrorFilter[] = ['internal', 'out-of-memory', 'validation']
    for (const filter of filters) this.device.pushErrorScope(filter)
    let result: T
    try {
      result = work()
    } finally {
      // a scope of a lost device rejects: the loss is thrown instead
      for (const _ of filters)
        this.unsettled.push(
          this.device.popErrorScope().then(
            (error) => this.note(what, error),
            () => this.lossIsKnown(),
          ),
        )
    }
    return result
  }

  /** Resolves when no guarded work is undecided; throws the first error there was. */
  async settle(): Promise<void> {
    await Promise.all(this.unsettled.splice(0))
    this.check()
  }

  check(): void {
    if (this.failure) throw this.failure
    if (this.closed) throw new Error('webgpu: this executor is closed. Create another one.')
  }

  private note(what: string, error: GPUError | null): void {
    if (!error) return
    const full = typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError
    this.fail(full ? outOfMemory(what, error.message) : invalid(what, error.message))
  }

  private fail(error: Error): void {
    this.failure ??= error
  }

  /** A lost device rejects what is under way a little before it says that it is lost. */
  private async lossIsKnown(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await Promise.race([this.device.lost, new Promise((resolve) => (timer = setTimeout(resolve, 200)))])
    clearTimeout(timer)
  }
}

const SMALLEST = 256

function invalid(what: string, message: string): Error {
  return new Error(
    `webgpu: ${what} must be valid, got ${message}. This is a bug in a kernel or in the executor; --device cpu does without.`,
  )
}

function outOfMemory(what: string, message: string): Error {
  return new Error(
    `webgpu: ${what} must fit the device's memory, got ${message}. Use a smaller model or batch, or --device cpu.`,
  )
}
