/**
 * A web page or one of its workers: WebAssembly and WGSL come with the script (build/embedded.js), threads are workers made from a Blob.
 * More than one thread needs a page that is cross-origin isolated, and a caller that may wait: a worker, not the page's main thread.
 */
import { wasm, wgsl } from '#embedded'
import type { Platform } from './platform.ts'

/** As cpu/worker.ts, with postMessage for workerData. Word 6 of the control record: a thread has failed; word 4: arrivals. */
const THREAD = `onmessage = ({ data: { module, memory, control, scratch } }) => {
  const abort = () => { throw new Error('kernels: abort in wasm.') }
  const { exports } = new WebAssembly.Instance(module, { env: { memory, abort } })
  postMessage('ready')
  try {
    exports.serve(control, scratch)
  } catch (error) {
    const words = new Int32Array(memory.buffer, control, 8)
    Atomics.store(words, 6, 1)
    Atomics.notify(words, 4)
    throw error
  }
}`

function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0)
    return true
  } catch {
    return false
  }
}

export const { loadWasm, widen, loadWgsl, threadsRefused, startThread, loadDawn }: Platform = {
  async loadWasm(build) {
    const text = wasm[build]
    if (text === undefined)
      throw new Error(`cpu: the script must hold kernels-${build}.wasm. Build and bundle it anew.`)
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
  },

  widen: () => 'a web page',

  async loadWgsl(file) {
    const text = wgsl[file.pathname.replace(/.*\//, '')]
    if (text === undefined)
      throw new Error(`embedded: ${file.pathname} must be in the script, got nothing. Build and bundle it anew.`)
    return text
  },

  threadsRefused() {
    if (globalThis.crossOriginIsolated !== true)
      return 'a page without shared memory. Serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or use threads: 1'
    return mayWait()
      ? null
      : "the page's main thread, which may not wait. Create the executor in a Worker, or use threads: 1"
  },

  startThread(start) {
    const url = URL.createObjectURL(new Blob([THREAD], { type: 'text/javascript' }))
    const worker = new Worker(url)
    const ready = new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve()
      worker.addEventListener('error', ({ message }) => reject(new Error(`cpu: a worker must start, got ${message}.`)))
    })
    worker.postMessage(start)
    return {
      ready: ready.finally(() => URL.revokeObjectURL(url)),
      onStop: (listener) => worker.addEventListener('error', ({ message }) => listener(message)),
      terminate: async () => worker.terminate(),
    }
  },

  loadDawn: null,
}
