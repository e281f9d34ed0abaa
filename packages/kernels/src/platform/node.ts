/** Node: files beside the sources, worker_threads, Dawn from the npm package. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import type { Platform } from './platform.ts'

/** The first V8 on which 256-bit operations were tried. */
const WIDE_SINCE = 13.6

export const { loadWasm, widen, loadWgsl, threadsRefused, startThread, loadDawn }: Platform = {
  async loadWasm(build) {
    const file = new URL(`../../build/kernels-${build}.wasm`, import.meta.url)
    const bytes = await readFile(file).catch(() => undefined)
    if (!bytes) throw new Error(`cpu: ${fileURLToPath(file)} is not built. Run npm run build.`)
    return new Uint8Array(bytes)
  },

  widen() {
    if (process.arch !== 'x64') return `a processor of architecture ${process.arch}`
    // of 13.6.233.17-node.37
    if (!(Number.parseFloat(process.versions.v8 ?? '') >= WIDE_SINCE))
      return `V8 ${process.versions.v8 ?? 'of no version'} (Node ${process.versions.node})`
    setFlagsFromString('--experimental-wasm-revectorize')
    return null
  },

  loadWgsl: (file) => readFile(file, 'utf8'),

  threadsRefused: () => null,

  startThread(start) {
    const worker = new Worker(new URL('../cpu/worker.ts', import.meta.url), { workerData: start })
    const ready = new Promise<void>((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', () => {
        // a process may end while its threads wait for work
        worker.unref()
        resolve()
      })
    })
    return {
      ready,
      onStop(listener) {
        worker.on('error', (cause) => listener(cause.message, cause))
        worker.on('exit', (code) => listener(`it ended with code ${code}`))
      },
      terminate: () => worker.terminate(),
    }
  },

  loadDawn: () => import('webgpu'),
}
