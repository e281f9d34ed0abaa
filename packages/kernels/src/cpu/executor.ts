/**
 * Runs plans by WebAssembly SIMD on the CPU: one memory holds control words, scratch, job lists, regions and arenas.
 * With more than one thread, persistent workers share that memory and the calling thread takes part. run() is synchronous.
 */
import { readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import type { Executor, Live, LoadedPlan } from '../executor.ts'
import type { Tensor } from '../graph.ts'
import { kernels } from '../ops/index.ts'
import { type Placement, type Plan, wordValue } from '../plan.ts'

const PAGE = 65536
const JOB_BYTES = 128
const SCRATCH_BYTES = 262144
const CONTROL = PAGE
const FIRST_SCRATCH = PAGE * 2
const kernelIds = new Map(kernels.map((kernel, id) => [kernel, id]))

interface Exports {
  work(control: number, scratch: number, arrivalsBefore: number): number
  philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, lane: number): number
}

export interface CpuOptions {
  /** Threads that compute, the caller included. */
  readonly threads?: number
  /** fma: relaxed SIMD; plain: SIMD only. Default: fma where the engine has it. */
  readonly build?: 'fma' | 'plain'
}

/** A body of one function that uses f32x4.relaxed_madd. */
const RELAXED_PROBE = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  8,
  1,
  96,
  3,
  123,
  123,
  123,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  13,
  1,
  11,
  0,
  32,
  0,
  32,
  1,
  32,
  2,
  253,
  133,
  2,
  11,
)

export async function createCpuExecutor(options: CpuOptions = {}): Promise<CpuExecutor> {
  const threads = options.threads ?? 1
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`cpu: threads must be a positive integer, got ${threads}.`)
  const build = options.build ?? (WebAssembly.validate(RELAXED_PROBE) ? 'fma' : 'plain')
  const file = new URL(`../../build/kernels-${build}.wasm`, import.meta.url)
  const bytes = await readFile(file).catch(() => undefined)
  if (!bytes) throw new Error(`cpu: ${file.pathname} is not built. Run npm run build.`)
  const module = await WebAssembly.compile(bytes)
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true })
  const executor = new CpuExecutor(module, memory, threads, build)
  await executor.start()
  return executor
}

export class CpuExecutor implements Executor {
  readonly kind = 'cpu' as const
  readonly exports: Exports
  private readonly regions = new Map<string, { byteOffset: number; elements: number }>()
  private readonly holes: { byteOffset: number; byteLength: number }[] = []
  private readonly workers: Worker[] = []
  private top: number
  private arrivals = 0
  private held = 0
  private readonly module: WebAssembly.Module
  private readonly memory: WebAssembly.Memory
  readonly threads: number
  readonly build: string

  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, threads: number, build: string) {
    this.module = module
    this.memory = memory
    this.threads = threads
    this.build = build
    this.top = FIRST_SCRATCH + threads * SCRATCH_BYTES
    this.reserve(this.top)
    this.exports = new WebAssembly.Instance(module, {
      env: {
        memory,
        abort: () => {
          throw new Error('kernels: abort in wasm.')
        },
      },
    }).exports as unknown as Exports
    this.ints(CONTROL, 8)[3] = threads
  }

  /** Starts the worker threads; each has joined when this resolves. */
  async start(): Promise<void> {
    const ready: Promise<unknown>[] = []
    for (let thread = 1; thread < this.threads; thread++) {
      const workerData = {
        module: this.module,
        memory: this.memory,
        control: CONTROL,
        scratch: FIRST_SCRATCH + thread * SCRATCH_BYTES,
      }
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData })
      ready.push(new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)))
      this.workers.push(worker)
    }
    await Promise.all(ready)
    for (const worker of this.workers) worker.unref()
  }

  describe(): string {
    return `WebAssembly SIMD (${this.build}), ${this.threads} thread${this.threads === 1 ? '' : 's'}`
  }

  byteLength(): number {
    return this.held
  }

  allocate(region: string, elements: number): void {
    if (this.regions.has(region)) throw new Error(`allocate: region ${region} exists already.`)
    const byteOffset = this.take(elements * 4)
    this.ints(byteOffset, elements).fill(0)
    this.regions.set(region, { byteOffset, elements })
  }

  writeRegion(region: string, offset: number, data: Float32Array | Int32Array): void {
    this.copyIn(this.region(region, offset + data.length) + offset * 4, data)
  }

  async readRegion(region: string, offset: number, length: number): Promise<Float32Array> {
    return this.floats(this.region(region, offset + length) + offset * 4, length).slice()
  }

  load(plan: Plan): LoadedPlan {
    for (const [name, elements] of Object.entries(plan.regions)) this.region(name, elements)
    return new CpuPlan(this, plan)
  }

  async close(): Promise<void> {
    const control = this.ints(CONTROL, 8)
    Atomics.store(control, 5, 1)
    Atomics.add(control, 0, 1)
    Atomics.notify(control, 0)
    await Promise.all(this.workers.map((worker) => worker.terminate()))
    this.workers.length = 0
  }

  /** Byte address of a placement. */
  address(placement: Placement, arena: number): number {
    return (placement.region === null ? arena : this.regions.get(placement.region)!.byteOffset) + placement.byteOffset
  }

  execute(jobs: number, count: number): void {
    const control = this.ints(CONTROL, 8)
    control[1] = jobs
    control[2] = count
    if (this.threads > 1) {
      Atomics.add(control, 0, 1)
      Atomics.notify(control, 0)
    }
    this.arrivals = this.exports.work(CONTROL, FIRST_SCRATCH, this.arrivals)
  }

  ints(byteOffset: number, length: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(this.memory.buffer as unknown as SharedArrayBuffer, byteOffset, length)
  }

  floats(byteOffset: number, length: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.memory.buffer as unknown as SharedArrayBuffer, byteOffset, length)
  }

  copyIn(byteOffset: number, data: Float32Array | Int32Array): void {
    if (data instanceof Float32Array) this.floats(byteOffset, data.length).set(data)
    else this.ints(byteOffset, data.length).set(data)
  }

  /** First fit in freed holes, else at the top of the memory. */
  take(length: number): number {
    const byteLength = Math.ceil(Math.max(length, 1) / 256) * 256
    this.held += byteLength
    const index = this.holes.findIndex((hole) => hole.byteLength >= byteLength)
    if (index >= 0) {
      const hole = this.holes[index]!
      const byteOffset = hole.byteOffset
      if (hole.byteLength === byteLength) this.holes.splice(index, 1)
      else this.holes[index] = { byteOffset: byteOffset + byteLength, byteLength: hole.byteLength - byteLength }
      return byteOffset
    }
    const byteOffset = this.top
    this.top += byteLength
    this.reserve(this.top)
    return byteOffset
  }

  release(byteOffset: number, length: number): void {
    const byteLength = Math.ceil(Math.max(length, 1) / 256) * 256
    this.held -= byteLength
    this.holes.push({ byteOffset, byteLength })
    this.holes.sort((a, b) => a.byteOffset - b.byteOffset)
    for (let i = this.holes.length - 1; i > 0; i--) {
      const [left, right] = [this.holes[i - 1]!, this.holes[i]!]
      if (left.byteOffset + left.byteLength === right.byteOffset)
        this.holes.splice(i - 1, 2, { byteOffset: left.byteOffset, byteLength: left.byteLength + right.byteLength })
    }
  }

  private reserve(byteLength: number): void {
    const missing = Math.ceil((byteLength - this.memory.buffer.byteLength) / PAGE)
    if (byteLength > 65536 * PAGE)
      throw new Error(`cpu: memory is limited to 4 GiB, this needs ${byteLength} bytes. Use a smaller model or batch.`)
    if (missing > 0) this.memory.grow(missing)
  }

  private region(name: string, elements: number): number {
    const region = this.regions.get(name)
    if (!region) throw new Error(`cpu: region ${name} is not allocated. Call allocate('${name}', …) first.`)
    if (elements > region.elements)
      throw new Error(`cpu: region ${name} has ${region.elements} elements, ${elements} are needed.`)
    return region.byteOffset
  }
}

class CpuPlan implements LoadedPlan {
  readonly plan: Plan
  private readonly executor: CpuExecutor
  private readonly arena: number
  private readonly jobs: number

  constructor(executor: CpuExecutor, plan: Plan) {
    this.executor = executor
    this.plan = plan
    this.arena = executor.take(plan.arenaByteLength)
    executor.floats(this.arena, plan.arenaByteLength / 4).fill(Number.NaN)
    this.jobs = executor.take(plan.steps.length * JOB_BYTES)
    const words = executor.ints(this.jobs, plan.steps.length * 32)
    words.fill(0)
    for (const [index, step] of plan.steps.entries()) {
      const id = kernelIds.get(step.kernel)
      if (id === undefined) throw new Error(`cpu: no kernel ${step.kernel.name} in the build.`)
      words[index * 32] = id
      for (const [slot, placement] of step.bindings.entries())
        words[index * 32 + 1 + slot] = executor.address(placement, this.arena)
    }
  }

  write(tensor: Tensor, data: Float32Array | Int32Array, elementOffset = 0): void {
    const placement = this.plan.place(tensor)
    if ((elementOffset + data.length) * 4 > placement.byteLength)
      throw new Error(
        `write: ${tensor.name} holds ${placement.byteLength / 4} elements, got ${data.length} at ${elementOffset}.`,
      )
    if (data instanceof Int32Array !== (tensor.dtype === 'i32'))
      throw new Error(`write: ${tensor.name} is ${tensor.dtype}, got ${data.constructor.name}.`)
    this.executor.copyIn(this.executor.address(placement, this.arena) + elementOffset * 4, data)
  }

  async read(tensor: Tensor, rows?: number): Promise<Float32Array | Int32Array> {
    const placement = this.plan.place(tensor)
    const length = rows === undefined ? placement.byteLength / 4 : rows * tensor.width
    const byteOffset = this.executor.address(placement, this.arena)
    return tensor.dtype === 'i32'
      ? new Int32Array(this.executor.ints(byteOffset, length))
      : new Float32Array(this.executor.floats(byteOffset, length))
  }

  run(phase: string, live: Live = {}): void {
    const range = this.plan.phases[phase]
    if (!range) throw new Error(`run: no phase ${phase}, this plan has ${Object.keys(this.plan.phases).join(', ')}.`)
    for (const [name, capacity] of Object.entries(this.plan.capacities))
      if ((live[name] ?? 0) > capacity)
        throw new Error(`run: ${name} is ${live[name]}, planned for at most ${capacity}.`)
    const first = this.jobs + range.first * JOB_BYTES
    const ints = this.executor.ints(first, range.count * 32)
    const floats = this.executor.floats(first, range.count * 32)
    for (let index = 0; index < range.count; index++) {
      const { words } = this.plan.steps[range.first + index]!
      ints[index * 32 + 10] = 0
      for (let slot = 0; slot < words.length; slot++)
        (words[slot]!.float ? floats : ints)[index * 32 + 11 + slot] = wordValue(words[slot]!.word, live)
    }
    this.executor.execute(first, range.count)
  }

  free(): void {
    this.executor.release(this.arena, this.plan.arenaByteLength)
    this.executor.release(this.jobs, this.plan.steps.length * JOB_BYTES)
  }
}
