/** One more thread of the peak measurement (peak.ts): waits for a round, runs the loop, counts itself done. */
import { parentPort, workerData } from 'node:worker_threads'
import type { PeakWorkerData } from './peak.ts'

const { module, control, factor, term } = workerData as PeakWorkerData
const words = new Int32Array(control)
const { fmaLoop } = new WebAssembly.Instance(module).exports as {
  fmaLoop(rounds: number, factor: number, term: number): number
}
fmaLoop(1_000_000, factor, term)
parentPort!.postMessage('ready')
for (let generation = 0; ; ) {
  Atomics.wait(words, 0, generation)
  generation = Atomics.load(words, 0)
  if (Atomics.load(words, 1) === 0) break
  fmaLoop(Atomics.load(words, 1), factor, term)
  Atomics.add(words, 2, 1)
  Atomics.notify(words, 2)
}
