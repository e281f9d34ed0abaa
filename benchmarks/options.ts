/** Flags of the benchmarks. Not here: what is measured. */
import { parseArgs } from 'node:util'
import type { CpuBuild } from '../packages/kernels/src/index.ts'

export const sectionNames = ['kernels', 'train', 'decode', 'rl', 'sharing', 'memory'] as const
export type SectionName = (typeof sectionNames)[number]

export interface BenchOptions {
  readonly only: readonly SectionName[]
  readonly device: 'all' | 'cpu' | 'webgpu'
  /** One repetition of small sizes: shows that everything runs, measures nothing. */
  readonly quick: boolean
  /** Of everything; default: each section its own. */
  readonly repetitions: number | undefined
  /** Times are the calling thread's computing time: one CPU thread only, on a machine that is busy with other things. */
  readonly threadClock: boolean
  /** Writes results/<name>.json and .md; refused where others keep the machine busy. */
  readonly write: boolean
  /** Writes all the same. */
  readonly busy: boolean
  /** Of the CPU kernels; default: the one that the executor chooses. */
  readonly build: CpuBuild | undefined
}

export const cpuBuilds: readonly CpuBuild[] = ['plain', 'fma', 'wide']

export function choose<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value)
  if (!found) throw new Error(`bench: --${flag} must be one of ${allowed.join(', ')}, got ${value}. Correct it.`)
  return found
}

export function parseRepetitions(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const repetitions = Number(value)
  if (!(Number.isInteger(repetitions) && repetitions >= 1))
    throw new Error(`bench: --repetitions must be a positive integer, got ${value}. Correct it.`)
  return repetitions
}

export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      device: { type: 'string', default: 'all' },
      quick: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      'thread-clock': { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      busy: { type: 'boolean', default: false },
      build: { type: 'string' },
    },
  })
  return {
    only: values.only ? values.only.split(',').map((name) => choose('only', name, sectionNames)) : sectionNames,
    device: choose('device', values.device, ['all', 'cpu', 'webgpu'] as const),
    quick: values.quick,
    repetitions: parseRepetitions(values.repetitions),
    threadClock: values['thread-clock'],
    write: values.write,
    busy: values.busy,
    build: values.build === undefined ? undefined : choose('build', values.build, cpuBuilds),
  }
}
