/** What the executors ask of their surroundings. Two of them: node.ts and browser.ts; package.json's "imports" picks by platform. */

/** What a worker thread starts from: instantiate `module` on `memory`, call serve(control, scratch). Byte addresses. */
export interface ThreadStart {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly control: number
  readonly scratch: number
}

export interface Thread {
  /** Resolves when it serves; rejects when it could not start. */
  readonly ready: Promise<void>
  /** Called when it ended for whatever reason. */
  onStop(listener: (why: string, cause?: unknown) => void): void
  terminate(): Promise<unknown>
}

export interface Platform {
  /** Bytes of kernels-<build>.wasm. */
  loadWasm(build: string): Promise<Uint8Array<ArrayBuffer>>
  /** From here on V8 makes 256-bit operations of pairs of 128-bit ones, in the whole process. Returns why it cannot be had here; null: it is on. */
  widen(): string | null
  loadWgsl(file: URL): Promise<string>
  /** Why more than one thread cannot be used here, and what to do; null: it can. */
  threadsRefused(): string | null
  startThread(start: ThreadStart): Thread
  /** Dawn's Node binding; null in a browser, which has navigator.gpu or nothing. */
  readonly loadDawn: (() => Promise<typeof import('webgpu')>) | null
}
