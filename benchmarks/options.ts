/** Flags of the benchmarks. Not here: what is measured. */
import { parseArgs } from 'node:util'

export const sectionNames = ['kernels', 'train', 'decode', 'rl', 'sharing', 'memory'] as const
export type SectionName = (typeof sectionNames)[number]

export interface BenchOptions {
  readonly only: readonly SectionName[]
  readonly device: 'all' | 'cpu' | 'webgpu'
  /** One repetition of small sizes: shows that everything runs, measures nothing. */
  readonly quick: boolean
  /** Writes results/<name>.json and .md. */
  readonly write: boolean
}

function choose<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value)
  if (!found) throw new Error(`bench: --${flag} must be one of ${allowed.join(', ')}, got ${value}. Correct it.`)
  return found
}

export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      device: { type: 'string', default: 'all' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  return {
    only: values.only ? values.only.split(',').map((name) => choose('only', name, sectionNames)) : sectionNames,
    device: choose('device', values.device, ['all', 'cpu', 'webgpu'] as const),
    quick: values.quick,
    write: values.write,
  }
}
