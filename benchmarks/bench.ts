/**
 * `pnpm bench`: our own speed and memory. Sections in kernels.ts, train.ts, decode.ts, rl.ts, sharing.ts, memory.ts; peers in peers.ts.
 *   pnpm bench [--only kernels,train,decode,rl,sharing,memory] [--device cpu|webgpu] [--build plain|fma|wide] [--quick] [--repetitions n] [--thread-clock] [--write [--busy]]
 */
import { cpuDevice, type Device, listDevices } from './devices.ts'
import { checkQuiet, readLoad } from './load.ts'
import { parseOptions, type SectionName } from './options.ts'
import { printTable, type Table, writeReport } from './report.ts'
import { useThreadClock } from './timing.ts'
import type { Effort } from './workload.ts'

const threadClockNote = '--thread-clock: one thread, and times are its computing time, not the wall clock.'

export interface BenchContext extends Effort {
  readonly devices: readonly Device[]
}

export interface SectionResult {
  readonly tables: readonly Table[]
  readonly samples: unknown
}

const sections: Readonly<Record<SectionName, () => Promise<(context: BenchContext) => Promise<SectionResult>>>> = {
  kernels: async () => (await import('./kernels.ts')).benchKernels,
  train: async () => (await import('./train.ts')).benchTrain,
  decode: async () => (await import('./decode.ts')).benchDecode,
  rl: async () => (await import('./rl.ts')).benchRl,
  sharing: async () => (await import('./sharing.ts')).benchSharing,
  memory: async () => (await import('./memory.ts')).benchMemory,
}

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const options = parseOptions(args)
  if (options.threadClock) useThreadClock()
  const load = await readLoad()
  // the clock of a thread does not run while others have the processor
  if (options.write) checkQuiet(load, options.busy || options.threadClock)
  const { devices, notes } = options.threadClock
    ? { devices: [cpuDevice(1, options.build)], notes: [threadClockNote] }
    : await listDevices(options.device, options.build)
  const start = performance.now()
  const tables: Table[] = []
  const samples: Record<string, unknown> = {}
  for (const name of options.only) {
    const section = await sections[name]()
    const began = performance.now()
    const result = await section({ devices, quick: options.quick, repetitions: options.repetitions })
    for (const table of result.tables) printTable(table)
    process.stdout.write(`  [${name}: ${((performance.now() - began) / 1000).toFixed(0)} s]\n`)
    tables.push(...result.tables)
    samples[name] = result.samples
  }
  const all = [
    'Medians of interleaved repetitions; a training step is forward, backward, gradient norm and AdamW.',
    ...(options.quick ? ['--quick: one repetition of small sizes; shows that everything runs, measures nothing.'] : []),
    ...notes,
  ]
  for (const note of all) process.stdout.write(`\n${note}\n`)
  if (!options.write) return
  const part = options.only.length === Object.keys(sections).length ? '' : `-${options.only.join('-')}`
  const build = options.build ? `-${options.build}` : ''
  const where = options.threadClock ? '-thread-clock' : options.device === 'all' ? '' : `-${options.device}`
  const command = ['pnpm bench', ...args].join(' ')
  await writeReport({
    name: `bench${part}${where}${build}`,
    command,
    tables,
    notes: all,
    samples,
    seconds: (performance.now() - start) / 1000,
    load,
  })
}

await main()
// Dawn's threads keep the process alive
process.exit(0)
