/** Flags shared by the commands, parsed strictly: a wrong value says what would be right. */
import type { CpuBuild } from '@axpo/kernels'
import { type AnyFamily, families, heldOutFamilies, type Split, splits } from '@axpo/tasks'
import { InvalidArgumentError, Option } from 'commander'

function oneOf<T extends string>(choices: readonly T[]): (value: string) => T {
  return (value) => {
    const found = choices.find((c) => c === value)
    if (found === undefined) throw new InvalidArgumentError(`Choose one of: ${choices.join(', ')}.`)
    return found
  }
}

/** Largest count that a flag takes where nothing smaller is said: fits a signed 32-bit integer. */
export const largestCount = 2 ** 31 - 1
/** Random numbers are keyed by 32 bits of the seed: a larger one would repeat a smaller one's. */
export const largestSeed = 2 ** 32 - 1
/** Questions of one evaluation: more would not fit in memory with their rollouts. */
export const largestQuestions = 100_000
/** Sample numbers from 1000 on are continuations (@axpo/trajectory). */
export const largestSamples = 1000
export const largestThreads = 1024

/** An integer from `least` to `most`. */
export function integer(least: number, most = largestCount): (value: string) => number {
  return (value) => {
    const n = Number(value)
    if (!Number.isInteger(n) || n < least || value.trim() === '')
      throw new InvalidArgumentError(`Give an integer of at least ${least}.`)
    if (n > most) throw new InvalidArgumentError(`Give an integer of at most ${most}.`)
    return n
  }
}

export function fraction(value: string): number {
  const n = Number(value)
  if (!(n >= 0 && n <= 1) || value.trim() === '') throw new InvalidArgumentError('Give a number from 0 to 1.')
  return n
}

/** A reward from which on a rollout is right. */
export function threshold(value: string): number {
  const n = Number(value)
  if (!(n > 0 && n <= 1)) throw new InvalidArgumentError('Give a number above 0, at most 1.')
  return n
}

export function positive(value: string): number {
  const n = Number(value)
  if (!(n > 0 && Number.isFinite(n))) throw new InvalidArgumentError('Give a positive number.')
  return n
}

const familyNames: readonly AnyFamily[] = [...families, ...heldOutFamilies]

/** Comma-separated family names, held-out ones included. */
export function familyList(value: string): AnyFamily[] {
  const parse = oneOf(familyNames)
  return value.split(',').map((name) => {
    try {
      return parse(name.trim())
    } catch {
      throw new InvalidArgumentError(`Unknown family "${name.trim()}". Choose from: ${familyNames.join(', ')}.`)
    }
  })
}

export type DeviceName = 'auto' | 'webgpu' | 'cpu'

export const deviceOption = () =>
  new Option('--device <device>', 'auto, webgpu or cpu')
    .argParser(oneOf<DeviceName>(['auto', 'webgpu', 'cpu']))
    .default('auto')
export const threadsOption = () =>
  new Option('--threads <n>', 'CPU threads; 0: all cores').argParser(integer(0, largestThreads)).default(0)
/** wide and fma give the same numbers, plain others: a run goes on to the same bytes with the same one. */
export const buildOption = () =>
  new Option(
    '--build <build>',
    'CPU kernels: fma, plain, or wide (256-bit products by an experimental option of V8, the numbers of fma); default: fma where the engine has it',
  ).argParser(oneOf<CpuBuild>(['fma', 'plain', 'wide']))
export const tasksOption = () =>
  new Option(
    '--tasks <file>',
    'questions of your own (JSONL, or a module .ts, .mjs, .js; docs/your-own-tasks.md) instead of the suite',
  )
export const toolsOption = () =>
  new Option('--tools <module>', 'tools of your own that the questions of --tasks name (docs/your-own-tool.md)')
export const splitOption = (split: Split) =>
  new Option('--split <split>', splits.join(', ')).argParser(oneOf(splits)).default(split)
export const easyShareOption = () =>
  new Option('--s, --easy-share <s>', 'share of items that need no tool').argParser(fraction).default(0.5)
export const seedOption = () =>
  new Option('--seed <n>', 'seed of every random number').argParser(integer(0, largestSeed)).default(1)
export const familiesOption = () =>
  new Option('--family, --families <list>', `comma-separated, of ${familyNames.join(', ')}`)
    .argParser(familyList)
    .default([...families])
