/** One thread of the CPU executor: instantiates the same module on the shared memory and serves job lists until told to stop. */
import { parentPort, workerData } from 'node:worker_threads'

const { module, memory, control, scratch } = workerData as {
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  control: number
  scratch: number
}
const instance = new WebAssembly.Instance(module, {
  env: {
    memory,
    abort: () => {
      throw new Error('kernels: abort in wasm.')
    },
  },
})
parentPort!.postMessage('ready')
try {
  ;(instance.exports.serve as (control: number, scratch: number) => void)(control, scratch)
} catch (error) {
  // the threads that wait for this one must learn that it will not come
  const words = new Int32Array(memory.buffer, control, 8)
  Atomics.store(words, 6, 1)
  Atomics.notify(words, 4)
  throw error
}
