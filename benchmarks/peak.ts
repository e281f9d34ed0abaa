/**
 * Peak of 128-bit fused multiply-add on some threads, measured by a WebAssembly loop that touches no memory (assembly/peak.as.ts): the yardstick of
 * matrix products. Unit: GFLOP/s, an FMA counts as 2 operations a lane.
 */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { now } from './timing.ts'

export interface PeakWorkerData {
  readonly module: WebAssembly.Module
  /** i32: generation, rounds (0: stop), threads that are done. */
  readonly control: SharedArrayBuffer
  readonly factor: number
  readonly term: number
}

/** Accumulators grow by their product a round and stay far from overflow and denormals. */
const FACTOR = 0.999
const TERM = 0.001
const OPERATIONS_PER_ROUND = 96
const ROUNDS = 10_000_000

async function compileLoop(): Promise<WebAssembly.Module> {
  // only where a peak is measured: the pack for GPU machines has no compiler
  const { default: asc } = await import('assemblyscript/asc')
  let bytes: Uint8Array<ArrayBuffer> | undefined
  const { error, stderr } = await asc.main(
    [
      'assembly/peak.as.ts',
      '--baseDir',
      fileURLToPath(new URL('.', import.meta.url)),
      '-o',
      'peak.wasm',
      '-O3',
      '--runtime',
      'stub',
      '--enable',
      'simd,relaxed-simd',
    ],
    {
      writeFile: (_name: string, contents: string | Uint8Array) => {
        if (typeof contents !== 'string') bytes = Uint8Array.from(contents)
      },
    },
  )
  if (error || !bytes) throw new Error(`peak: assembly/peak.as.ts must compile, got ${error?.message} ${stderr}`)
  return WebAssembly.compile(bytes)
}

export class PeakMeter {
  readonly threads: number
  private readonly words: Int32Array<SharedArrayBuffer>
  private readonly fmaLoop: (rounds: number, factor: number, term: number) => number

  private constructor(module: WebAssembly.Module, control: SharedArrayBuffer, threads: number) {
    this.threads = threads
    this.words = new Int32Array(control)
    this.fmaLoop = new WebAssembly.Instance(module).exports.fmaLoop as (
      rounds: number,
      factor: number,
      term: number,
    ) => number
    this.fmaLoop(1_000_000, FACTOR, TERM)
  }

  static async open(threads: number): Promise<PeakMeter> {
    const module = await compileLoop()
    const control = new SharedArrayBuffer(12)
    const workerData: PeakWorkerData = { module, control, factor: FACTOR, term: TERM }
    await Promise.all(
      Array.from({ length: threads - 1 }, () => {
        const worker = new Worker(new URL('./peak-worker.ts', import.meta.url), { workerData })
        return new Promise((resolve, reject) => {
          worker.once('error', reject).once('message', () => {
            worker.unref()
            resolve(undefined)
          })
        })
      }),
    )
    const meter = new PeakMeter(module, control, threads)
    // until the engine has its best code, on all threads
    for (let round = 0; round < 6; round++) meter.measure()
    return meter
  }

  /** GFLOP/s of all threads together, over about 20 ms. */
  measure(): number {
    const { words } = this
    Atomics.store(words, 1, ROUNDS)
    Atomics.store(words, 2, 0)
    const start = now()
    Atomics.add(words, 0, 1)
    Atomics.notify(words, 0)
    this.fmaLoop(ROUNDS, FACTOR, TERM)
    for (let done = Atomics.load(words, 2); done < this.threads - 1; done = Atomics.load(words, 2))
      Atomics.wait(words, 2, done)
    return (ROUNDS * OPERATIONS_PER_ROUND * this.threads) / (now() - start) / 1e6
  }

  close(): void {
    Atomics.store(this.words, 1, 0)
    Atomics.add(this.words, 0, 1)
    Atomics.notify(this.words, 0)
  }
}
