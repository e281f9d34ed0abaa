/**
 * Soak: thousands of nano training steps and decoded tokens in one process; memory must stay flat. Prints a table and exits 1 where something grows.
 *   node benchmarks/launch.mjs soak [--device cpu|webgpu] [--steps n] [--tokens n] [--threads 2] [--quick] [--write]
 * JS heap after a collection, array buffers, external and resident memory, WebAssembly memory, the executor's buffers (on WebGPU: what it holds on the device) and
 * its allocations, along the way. Not here: the verdict (soak-verdict.ts).
 */

import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CpuExecutor, type Executor } from '../packages/kernels/src/index.ts'
import type { Model } from '../packages/model/src/index.ts'
import { cpuDevice, type Device, listDevices } from './devices.ts'
import { printTable, type Table, writeReport } from './report.ts'
import { type Figure, judge, type MemoryPoint, type Verdict } from './soak-verdict.ts'
import { runTrainStep } from './train.ts'
import { createPrompt, createSequences, loadWorkload, openModel, type Workload } from './workload.ts'

interface SoakSizes {
  readonly steps: number
  /** Of a training step. */
  readonly sequences: number
  readonly sequenceTokens: number
  readonly tokens: number
  /** Sequences that are sampled at once. */
  readonly batch: number
  /** Tokens sampled for a sequence: from the first number on, at most the second one more. */
  readonly lengths: readonly [number, number]
  readonly points: number
  /** Points that warm up: compiled code, pools and caches fill. A software GPU's pools take some 30 training steps. */
  readonly warm: number
  /** Too short for it: what V8, the driver and malloc keep is still growing. */
  readonly unjudged: readonly Figure[]
}

const full: SoakSizes = {
  steps: 2000,
  sequences: 2,
  sequenceTokens: 64,
  tokens: 100_000,
  batch: 64,
  lengths: [20, 41],
  points: 20,
  warm: 5,
  unjudged: [],
}
/** A driver that runs on the CPU is several times slower. */
const software: SoakSizes = { ...full, steps: 200, tokens: 10_000, batch: 16 }
/** For CI: seconds, on either device. */
const quick: SoakSizes = {
  steps: 12,
  sequences: 1,
  sequenceTokens: 50,
  tokens: 240,
  batch: 4,
  lengths: [4, 9],
  points: 12,
  warm: 5,
  unjudged: ['heap', 'rss'],
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

async function measure(executor: Executor, model: Model, steps: number): Promise<MemoryPoint> {
  // what finalisers free is seen by the collection after the turn they run in
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, rss, external, arrayBuffers } = process.memoryUsage()
  const MiB = (bytes: number) => bytes / 2 ** 20
  return {
    steps,
    tokens: model.sampler.statistics.sampledTokens,
    heap: MiB(heapUsed),
    arrayBuffers: MiB(arrayBuffers),
    external: MiB(external),
    rss: MiB(rss),
    wasm: executor instanceof CpuExecutor ? MiB(executor.floats(0, 1).buffer.byteLength) : 0,
    executor: MiB(executor.byteLength()),
    allocations: executor.counters().allocations,
  }
}

/** Samples until there are `total` tokens; every prompt is new, lengths differ. */
async function decode(
  model: Model,
  { config }: Workload,
  sizes: SoakSizes,
  total: number,
  serial: number,
): Promise<void> {
  const {
    batch,
    lengths: [shortest, more],
  } = sizes
  for (let round = 0; model.sampler.statistics.sampledTokens < total; round++)
    await Promise.all(
      Array.from({ length: batch }, (_, sample) => {
        const prompt = createPrompt(config, serial * 10_000 + round * 16 + (sample >> 2))
        const key = { seed: 5, step: serial, question: round, sample }
        return model.sampler.sample({
          ...prompt,
          maxTokens: shortest + ((sample * 17) % more),
          stopTokens: [],
          temperature: 1,
          key,
        })
      }),
    )
}

/**
 * Writes every page of the executor's memory as it is. Pages that no run has reached yet do not count as resident: a longer context that touches some of them for the first time would
 * look like growth.
 */
function touchPages(executor: Executor): void {
  if (!(executor instanceof CpuExecutor)) return
  const words = new Int32Array(executor.floats(0, 1).buffer)
  for (let i = 0; i < words.length; i += 1024) words[i] = words[i]!
}

async function soak(device: Device, sizes: SoakSizes): Promise<MemoryPoint[]> {
  const loaded = await loadWorkload('nano', device.kind, { quick: false })
  const { sequences, sequenceTokens, batch } = sizes
  const workload: Workload = {
    ...loaded,
    sizes: { ...loaded.sizes, sequences, sequenceTokens, questions: batch / 4, samples: 4, decodeBatch: batch },
  }
  const executor = await device.open()
  const model = openModel(workload, executor)
  const began = performance.now()
  const points: MemoryPoint[] = []
  let step = 0
  for (let point = 1; point <= sizes.points; point++) {
    const part = (whole: number) => Math.round((whole * point) / sizes.points)
    for (; step < part(sizes.steps); step++) await runTrainStep(model, createSequences(workload, step))
    await decode(model, workload, sizes, part(sizes.tokens), point)
    if (point === 1) touchPages(executor)
    points.push(await measure(executor, model, step))
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    process.stderr.write(`soak: ${step} steps, ${points.at(-1)!.tokens} tokens, ${seconds} s\n`)
  }
  model.close()
  await executor.close()
  return points
}

function tablesOf(
  device: Device,
  sizes: SoakSizes,
  points: readonly MemoryPoint[],
  verdicts: readonly Verdict[],
): Table[] {
  const verdict: Table = {
    title: `Memory of nano on ${device.name}: growth after the warm-up`,
    columns: ['what', 'median', 'growth', 'allowed', 'verdict'],
    rows: verdicts.map(({ name, middle, growth, allowed, verdict }) => [name, middle, growth, allowed, verdict]),
    notes: [
      `Growth: the median slope between all pairs of points (Theil-Sen), over all of them. The first ${sizes.warm} of ${sizes.points} points warm up. JS heap after full collections.`,
    ],
  }
  const course: Table = {
    title: 'The course of it',
    columns: ['training steps', 'decoded tokens', ...verdicts.map(({ name }) => name)],
    rows: points.map((p) => [
      p.steps,
      p.tokens,
      p.heap,
      p.arrayBuffers,
      p.external,
      p.rss,
      p.wasm,
      p.executor,
      p.allocations,
    ]),
    notes: [],
  }
  return [verdict, course]
}

interface Flags {
  readonly device: string
  readonly threads: string
  readonly steps?: string
  readonly tokens?: string
  readonly quick: boolean
  readonly write: boolean
}

function sizesFor(flags: Flags, device: Device): SoakSizes {
  const base = flags.quick ? quick : device.kind === 'software' ? software : full
  const number = (name: 'steps' | 'tokens') => {
    const value = Number(flags[name] ?? base[name])
    if (!(Number.isInteger(value) && value >= base.points))
      throw new Error(`soak: --${name} must be an integer of at least ${base.points}, got ${flags[name]}. Give more.`)
    return value
  }
  return { ...base, steps: number('steps'), tokens: number('tokens') }
}

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      steps: { type: 'string' },
      tokens: { type: 'string' },
      device: { type: 'string', default: 'cpu' },
      threads: { type: 'string', default: '2' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  if (flags.device !== 'cpu' && flags.device !== 'webgpu')
    throw new Error(`soak: --device must be cpu or webgpu, got ${flags.device}. Correct it.`)
  const device = flags.device === 'webgpu' ? (await listDevices('webgpu')).devices[0] : cpuDevice(Number(flags.threads))
  if (!device) throw new Error('soak: --device webgpu needs an adapter, got none. Use --device cpu.')
  const sizes = sizesFor(flags, device)
  const began = performance.now()
  const points = await soak(device, sizes)
  const verdicts = judge(points, sizes.warm, sizes.unjudged)
  const tables = tablesOf(device, sizes, points, verdicts)
  for (const table of tables) printTable(table)
  const notes = [
    ...(flags.quick
      ? ['--quick: shows that everything runs and that what the project holds is flat; the full size is the proof.']
      : []),
    ...(device.kind === 'software' && !flags.quick
      ? [
          `A WebGPU driver that runs on the CPU: ${sizes.steps} steps and ${sizes.tokens} tokens instead of ${full.steps} and ${full.tokens}.`,
        ]
      : []),
  ]
  for (const note of notes) process.stdout.write(`\n${note}\n`)
  if (flags.write) {
    const command = ['node benchmarks/launch.mjs soak', ...process.argv.slice(2)].join(' ')
    const seconds = (performance.now() - began) / 1000
    await writeReport({ name: `soak-${flags.device}`, command, tables, notes, seconds, samples: points })
  }
  const grew = verdicts
    .filter(({ verdict }) => verdict === 'GROWS')
    .map(({ name, growth }) => `${name} by ${growth.toFixed(3)}`)
  if (grew.length > 0) process.stderr.write(`soak: memory must stay flat, got growth of ${grew.join(', ')}.\n`)
  return grew.length > 0 ? 1 : 0
}

process.exit(await main())
