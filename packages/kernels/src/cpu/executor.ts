/**
 * Runs plans by WebAssembly SIMD on the CPU: one memory holds control words, scratch, job records, regions and arenas (memory.ts).
 * With more than one thread, persistent workers share that memory and the calling thread takes part. A run is synchronous and enters
 * WebAssembly once. Not here: plans (loaded-plan.ts), the loop over jobs (assembly/index.ts).
 *
 * A thread that fails or dies breaks the executor: the run throws, and so does every later call but close().
 */
import { loadWasm, startThread, threadsRefused, widen } from '#platform'
import type { Executor, ExecutorCounters, LoadedPlan, LoadOptions } from '../executor.ts'
import { listNumber } from '../ops/definition.ts'
import { kernels } from '../ops/index.ts'
import type { Placement, Plan } from '../plan.ts'
import type { Thread } from '../platform/platform.ts'
import { CpuPlan, JOB_BYTES } from './loaded-plan.ts'
import { CpuMemory, PAGE } from './memory.ts'
import { unshareMemory } from './unshare.ts'

const SCRATCH_BYTES = 262144
const CONTROL = PAGE
const FIRST_SCRATCH = PAGE * 2
/** A thread that has not arrived for so long is dead: chunks take milliseconds. */
const PATIENCE_SECONDS = 60

/** Words of the control record, as in assembly/index.ts. */
const GENERATION = 0
const JOBS = 1
const COUNT = 2
const THREADS = 3
const ARRIVALS = 4
const STOP = 5
const FAILED = 6
const JOB = 7
const PATIENCE = 8
const WIDE = 9

interface Exports {
  /** listNumber of the kernels it was built from. */
  readonly kernelList: WebAssembly.Global
  work(control: number, scratch: number, arrivalsBefore: number): number
  packWeight(weight: number, N: number, K: number, panels: number): void
  philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, lane: number): number
}

export type CpuBuild = 'fma' | 'plain' | 'wide'

export interface CpuOptions {
  /** Threads that compute, the caller included. */
  readonly threads?: number
  /**
   * fma: relaxed SIMD; plain: SIMD only. Default: fma where the engine has it. wide: fma, with pairs of operations made 256-bit ones by an experimental
   * option of V8, which stays on for the whole process; Node on x64 only. The same numbers as fma.
   */
  readonly build?: CpuBuild
}

/** A body of one function that uses f32x4.relaxed_madd. */
const RELAXED_PROBE = Uint8Array.from(
  '0061736d0100000001080160037b7b7b017b030201000a0d010b00200020012002fd85020b'.match(/../g)!,
  (byte) => Number.parseInt(byte, 16),
)

export async function createCpuExecutor(options: CpuOptions = {}): Promise<CpuExecutor> {
  const threads = options.threads ?? 1
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`cpu: threads must be a positive integer, got ${threads}.`)
  const build = options.build ?? (WebAssembly.validate(RELAXED_PROBE) ? 'fma' : 'plain')
  const refused = threads > 1 ? threadsRefused() : null
  if (refused) throw new Error(`cpu: ${threads} threads need shared memory and a caller that may wait, got ${refused}.`)
  const narrow = build === 'wide' ? widen() : null
  if (narrow) throw new Error(`cpu: build wide needs Node 24 or later on x64, got ${narrow}. Use build fma.`)
  const bytes = await loadWasm(build === 'wide' ? 'fma' : build)
  const module = await WebAssembly.compile(threads > 1 ? bytes : unshareMemory(bytes))
  const executor = new CpuExecutor(module, threads, build)
  await executor.start()
  return executor
}

export class CpuExecutor implements Executor {
  readonly kind = 'cpu' as const
  readonly exports: Exports
  readonly threads: number
  readonly build: string
  private readonly module: WebAssembly.Module
  private readonly memory: CpuMemory
  private control: Int32Array
  private readonly regions = new Map<
    string,
    { readonly byteOffset: number; readonly elements: number; version: number }
  >()
  private readonly plans = new Set<LoadedPlan>()
  private readonly workers: Thread[] = []
  private readonly counts = { bindings: 0, runs: 0, starts: 0, readBacks: 0 }
  private arrivals = 0
  private failure: Error | null = null
  private closed = false

  constructor(module: WebAssembly.Module, threads: number, build: string) {
    this.module = module
    this.threads = threads
    this.build = build
    this.memory = new CpuMemory(FIRST_SCRATCH + threads * SCRATCH_BYTES, threads > 1)
    this.exports = new WebAssembly.Instance(module, {
      env: {
        memory: this.memory.memory,
        abort: () => {
          throw new Error('kernels: abort in wasm.')
        },
      },
    }).exports as unknown as Exports
    if (this.exports.kernelList.value !== listNumber(kernels))
      throw new Error(
        `cpu: kernels-${build}.wasm must be built from the kernels of ops/index.ts, got another list. Run npm run build.`,
      )
    this.control = this.memory.ints(CONTROL, 16)
    this.control[THREADS] = threads
    this.control[PATIENCE] = PATIENCE_SECONDS
    this.control[WIDE] = build === 'wide' ? 1 : 0
  }

  /** Starts the worker threads; each has joined when this resolves. */
  async start(): Promise<void> {
    for (let thread = 1; thread < this.threads; thread++) {
      const worker = startThread({
        module: this.module,
        memory: this.memory.memory,
        control: CONTROL,
        scratch: FIRST_SCRATCH + thread * SCRATCH_BYTES,
      })
      worker.onStop((why, cause) => {
        if (!this.closed) this.fail(stopped(thread, why, cause))
      })
      this.workers.push(worker)
    }
    await Promise.all(this.workers.map(({ ready }) => ready))
  }

  describe(): string {
    return `WebAssembly SIMD (${this.build}), ${this.threads} thread${this.threads === 1 ? '' : 's'}`
  }

  byteLength(): number {
    return this.memory.byteLength()
  }

  counters(): ExecutorCounters {
    return { allocations: this.memory.allocations, ...this.counts }
  }

  allocate(region: string, elements: number): void {
    this.check()
    if (this.regions.has(region)) throw new Error(`allocate: region ${region} exists already.`)
    const byteOffset = this.memory.take(`region ${region}`, elements * 4)
    this.ints(byteOffset, elements).fill(0)
    this.regions.set(region, { byteOffset, elements, version: 0 })
  }

  writeRegion(region: string, offset: number, data: Float32Array | Int32Array): void {
    this.check()
    this.copyIn(this.region(region, offset + data.length) + offset * 4, data)
    this.noteWrite(region)
  }

  async readRegion(region: string, offset: number, length: number): Promise<Float32Array> {
    this.check()
    return this.copyOutFloats(this.region(region, offset + length) + offset * 4, length)
  }

  load(plan: Plan, options: LoadOptions = {}): LoadedPlan {
    this.check()
    for (const [name, elements] of Object.entries(plan.regions)) this.region(name, elements)
    const loaded = new CpuPlan(this, plan, options)
    this.counts.bindings += plan.steps.length
    this.plans.add(loaded)
    return loaded
  }

  async close(): Promise<void> {
    if (this.closed) return
    for (const plan of [...this.plans]) plan.free()
    for (const { byteOffset, elements } of this.regions.values()) this.memory.release(byteOffset, elements * 4)
    this.regions.clear()
    this.closed = true
    const control = this.controlWords()
    Atomics.store(control, STOP, 1)
    Atomics.add(control, GENERATION, 1)
    Atomics.notify(control, GENERATION)
    await Promise.all(this.workers.map((worker) => worker.terminate()))
    this.workers.length = 0
  }

  /** Throws what broke the executor, or that it is closed. */
  check(): void {
    if (this.failure) throw this.failure
    if (this.closed) throw new Error('cpu: this executor is closed. Create another one.')
  }

  /** Byte address of a placement. */
  address(placement: Placement, arena: number): number {
    return (placement.region === null ? arena : this.regions.get(placement.region)!.byteOffset) + placement.byteOffset
  }

  /** Grows with every write of a region. */
  version(region: string): number {
    return this.regions.get(region)!.version
  }

  noteWrite(region: string): void {
    this.regions.get(region)!.version++
  }

  packWeight(weight: Placement, N: number, K: number, panels: number): void {
    this.exports.packWeight(this.address(weight, 0), N, K, panels)
  }

  run(jobs: number, count: number): void {
    this.counts.runs++
    this.execute(jobs, count)
  }

  /** All threads work through `count` job records. */
  execute(jobs: number, count: number): void {
    this.counts.starts++
    const control = this.controlWords()
    control[JOBS] = jobs
    control[COUNT] = count
    if (this.threads > 1) {
      Atomics.add(control, GENERATION, 1)
      Atomics.notify(control, GENERATION)
    }
    try {
      this.arrivals = this.exports.work(CONTROL, FIRST_SCRATCH, this.arrivals)
    } catch (cause) {
      Atomics.store(control, FAILED, 1)
      Atomics.notify(control, ARRIVALS)
      const { name } = kernels[this.ints(jobs + control[JOB]! * JOB_BYTES, 1)[0]!]!
      this.fail(broken(name, cause))
      throw this.failure
    }
  }

  private controlWords(): Int32Array {
    if (!this.isCurrent(this.control)) this.control = this.memory.ints(CONTROL, 16)
    return this.control
  }

  /** False: the memory has grown since the view was taken, which may have detached it. */
  isCurrent(view: Int32Array): boolean {
    return view.buffer === this.memory.memory.buffer
  }

  ints(byteOffset: number, length: number): Int32Array {
    return this.memory.ints(byteOffset, length)
  }

  floats(byteOffset: number, length: number): Float32Array {
    return this.memory.floats(byteOffset, length)
  }

  copyIn(byteOffset: number, data: Float32Array | Int32Array): void {
    if (data instanceof Float32Array) this.floats(byteOffset, data.length).set(data)
    else this.ints(byteOffset, data.length).set(data)
  }

  copyOutFloats(byteOffset: number, length: number): Float32Array {
    this.counts.readBacks++
    return new Float32Array(this.floats(byteOffset, length))
  }

  copyOutInts(byteOffset: number, length: number): Int32Array {
    this.counts.readBacks++
    return new Int32Array(this.ints(byteOffset, length))
  }

  take(what: string, byteLength: number): number {
    return this.memory.take(what, byteLength)
  }

  /** Gives back the places (address, bytes) of a plan. */
  release(plan: LoadedPlan, places: readonly (readonly [number, number])[]): void {
    this.plans.delete(plan)
    for (const [byteOffset, byteLength] of places) this.memory.release(byteOffset, byteLength)
  }

  private fail(error: Error): void {
    this.failure ??= error
  }

  private region(name: string, elements: number): number {
    const region = this.regions.get(name)
    if (!region) throw new Error(`cpu: region ${name} is not allocated. Call allocate('${name}', …) first.`)
    if (elements > region.elements)
      throw new Error(`cpu: region ${name} has ${region.elements} elements, ${elements} are needed.`)
    return region.byteOffset
  }
}

const REPAIR = 'What was written is kept: go on with --resume, on one thread with --threads 1.'

function stopped(thread: number, why: string, cause?: unknown): Error {
  return new Error(`cpu: worker thread ${thread} must live as long as its executor, got stopped: ${why}. ${REPAIR}`, {
    cause,
  })
}

function broken(kernel: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Error(
    `cpu: kernel ${kernel} must be finished by every thread, got a trap (${why}): an index outside its table, or a thread that died. Check the lists written for it. ${REPAIR}`,
    { cause },
  )
}
