/**
 * Soak: thousands of nano training steps and decoded tokens in one process; memory must stay flat. Prints a table and exits 1 where something grows.
 *   node benchmarks/launch.mjs soak [--steps 2000] [--tokens 100000] [--device cpu|webgpu] [--threads 2] [--write]
 * JS heap after a collection, WebAssembly memory, the executor's buffers (on WebGPU: what it holds on the device) and resident memory, at 20 points.
 */

import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CpuExecutor, type Executor } from '../packages/kernels/src/index.ts'
import type { Model } from '../packages/model/src/index.ts'
import { cpuDevice, listDevices } from './devices.ts'
import { printTable, type Table, writeReport } from './report.ts'
import { median } from './timing.ts'
import { runTrainStep } from './train.ts'
import { createPrompt, createSequences, loadWorkload, openModel, type Workload } from './workload.ts'

const POINTS = 20
/** Points that warm up: compiled code, pools and caches fill. */
const WARM = 5
const BATCH = 64

interface Point {
  readonly step: number
  readonly sampled: number
  readonly heapMiB: number
  readonly wasmMiB: number
  readonly executorMiB: number
  readonly rssMiB: number
}

/** What may grow by how much, from the median of the first third of the points after the warm-up to that of the last third. */
const limits: readonly {
  key: 'heapMiB' | 'wasmMiB' | 'executorMiB' | 'rssMiB'
  name: string
  share: number
  MiB: number
}[] = [
  { key: 'heapMiB', name: 'JS heap', share: 0.03, MiB: 0.5 },
  { key: 'wasmMiB', name: 'WebAssembly memory', share: 0, MiB: 0 },
  { key: 'executorMiB', name: 'executor buffers', share: 0, MiB: 0 },
  { key: 'rssMiB', name: 'resident memory', share: 0.03, MiB: 8 },
]

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function measure(executor: Executor, model: Model, step: number): Point {
  collect()
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  const MiB = (bytes: number) => bytes / 2 ** 20
  return {
    step,
    sampled: model.sampler.statistics.sampledTokens,
    heapMiB: MiB(heapUsed),
    wasmMiB: executor instanceof CpuExecutor ? MiB(executor.floats(0, 1).buffer.byteLength) : 0,
    executorMiB: MiB(executor.byteLength()),
    rssMiB: MiB(rss),
  }
}

/** Samples at least `tokens` tokens; every prompt is new, lengths differ. */
async function decode(model: Model, { config }: Workload, tokens: number, serial: number): Promise<void> {
  const start = model.sampler.statistics.sampledTokens
  for (let round = 0; model.sampler.statistics.sampledTokens - start < tokens; round++)
    await Promise.all(
      Array.from({ length: BATCH }, (_, sample) => {
        const prompt = createPrompt(config, serial * 10_000 + round * 16 + (sample >> 2))
        const key = { seed: 5, step: serial, question: round, sample }
        return model.sampler.sample({
          ...prompt,
          maxTokens: 20 + ((sample * 17) % 41),
          stopTokens: [],
          temperature: 1,
          key,
        })
      }),
    )
}

function judge(points: readonly Point[]): { rows: (string | number)[][]; grew: string[] } {
  const settled = points.slice(WARM)
  const third = Math.max(1, Math.floor(settled.length / 3))
  const grew: string[] = []
  const rows = limits.map(({ key, name, share, MiB }) => {
    const first = median(settled.slice(0, third).map((point) => point[key]))
    const last = median(settled.slice(-third).map((point) => point[key]))
    const allowed = first * share + MiB
    if (last - first > allowed) grew.push(name)
    return [name, first, last, last - first, allowed, last - first > allowed ? 'GROWS' : 'flat']
  })
  return { rows, grew }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '2000' },
      tokens: { type: 'string', default: '100000' },
      device: { type: 'string', default: 'cpu' },
      threads: { type: 'string', default: '2' },
      write: { type: 'boolean', default: false },
    },
  })
  const [steps, tokens] = [Number(values.steps), Number(values.tokens)]
  if (!(steps >= POINTS && tokens >= POINTS))
    throw new Error(
      `soak: --steps and --tokens must be at least ${POINTS}, got ${values.steps}, ${values.tokens}. Give more.`,
    )
  const device =
    values.device === 'webgpu' ? (await listDevices('webgpu')).devices[0] : cpuDevice(Number(values.threads))
  if (!device) throw new Error('soak: --device webgpu needs an adapter, got none. Use --device cpu.')
  const loaded = await loadWorkload('nano', device.kind, { quick: false })
  const workload: Workload = {
    ...loaded,
    sizes: { ...loaded.sizes, sequences: 2, sequenceTokens: 64, questions: 8, samples: 8, decodeBatch: BATCH },
  }
  const executor = await device.open()
  const model = openModel(workload, executor)
  const began = performance.now()
  const points: Point[] = []
  let step = 0
  for (let point = 1; point <= POINTS; point++) {
    for (; step < Math.round((steps * point) / POINTS); step++)
      await runTrainStep(model, createSequences(workload, step))
    await decode(model, workload, tokens / POINTS, point)
    points.push(measure(executor, model, step))
    process.stderr.write(
      `soak: ${step} steps, ${points.at(-1)!.sampled} tokens, ${((performance.now() - began) / 1000).toFixed(0)} s\n`,
    )
  }
  const seconds = (performance.now() - began) / 1000
  const { rows, grew } = judge(points)
  const columns = ['training steps', 'decoded tokens', 'JS heap MiB', 'WebAssembly MiB', 'executor MiB', 'resident MiB']
  const course: Table = {
    title: `Soak of nano on ${device.name}`,
    columns,
    rows: points.map((point) => Object.values(point)),
    notes: [],
  }
  const verdict: Table = {
    title: 'First and last third after the warm-up',
    columns: ['memory', 'first MiB', 'last MiB', 'growth MiB', 'allowed MiB', 'verdict'],
    rows,
    notes: [`The first ${WARM} of ${POINTS} points warm up. JS heap is measured after a full collection.`],
  }
  for (const table of [course, verdict]) printTable(table)
  const command = ['node benchmarks/launch.mjs soak', ...process.argv.slice(2)].join(' ')
  if (values.write)
    await writeReport({ name: `soak-${device.kind}`, command, tables: [verdict, course], notes: [], seconds })
  if (grew.length > 0) process.stderr.write(`soak: memory must stay flat, got growth of ${grew.join(', ')}.\n`)
  return grew.length > 0 ? 1 : 0
}

process.exit(await main())
