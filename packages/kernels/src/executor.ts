/** What runs plans: the same interface over WebGPU and WebAssembly. Not here: how (cpu/executor.ts, webgpu/executor.ts). */
import type { Tensor } from './graph.ts'
import type { Plan } from './plan.ts'

/** Values of a run: rows of each symbol, and each live float word, by name. */
export type Live = Readonly<Record<string, number>>

export interface LoadOptions {
  /** It will run many times between two writes of its weights: an executor may keep them in the order it reads them in. Changes no bit. */
  readonly manyRuns?: boolean
}

export interface LoadedPlan {
  readonly plan: Plan
  /** Copies host data into a host or persistent tensor, from an element of it on. */
  write(tensor: Tensor, data: Float32Array | Int32Array, elementOffset?: number): void
  /** First `rows` rows (default: all at capacity) of a host or persistent tensor. */
  read(tensor: Tensor, rows?: number): Promise<Float32Array | Int32Array>
  /** Runs one phase of the plan. Phases share the arena, so run them in their planned order. */
  run(phase: string, live?: Live): Promise<void> | void
  free(): void
}

/** Counted since the executor was made. A replay raises runs and starts by one and nothing else: a test shows it. */
export interface ExecutorCounters {
  /** Buffers made, the staging of reads included (WebGPU); places taken in the memory (CPU). */
  readonly allocations: number
  /** Bind groups made (WebGPU); job records written (CPU). */
  readonly bindings: number
  /** Phases run. */
  readonly runs: number
  /** Command buffers submitted by runs (WebGPU); entries into WebAssembly (CPU). */
  readonly starts: number
  /** Waits for data to come back from the device (WebGPU); copies out of the memory (CPU). */
  readonly readBacks: number
}

export interface Executor {
  readonly kind: 'cpu' | 'webgpu'
  describe(): string
  /** A persistent buffer of 32-bit elements, zeroed. */
  allocate(region: string, elements: number): void
  writeRegion(region: string, offset: number, data: Float32Array | Int32Array): void
  readRegion(region: string, offset: number, length: number): Promise<Float32Array>
  load(plan: Plan, options?: LoadOptions): LoadedPlan
  /** Bytes held: regions and arenas. */
  byteLength(): number
  counters(): ExecutorCounters
  /** Frees regions and plans: byteLength() is 0 after it, and every other call throws. */
  close(): Promise<void>
}
