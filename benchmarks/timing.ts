/**
 * Medians of interleaved repetitions: A B C A B C ..., so that a slow moment of the machine falls on all alike, and ratios of one run mean something.
 * Times are milliseconds of wall clock, or of this thread's computing (useThreadClock).
 */

let clock = (): number => performance.now()
export const now = (): number => clock()

/** Milliseconds a short piece of work must be repeated for. */
export let leastSampleMs = 3

/** From now on times are what the calling thread computed: for one thread on a busy machine, where the wall clock says nothing. */
export function useThreadClock(): void {
  // the system counts a thread's time in ticks of up to 4 ms
  leastSampleMs = 40
  clock = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
}

export interface Case<T> {
  readonly name: string
  /** One repetition; what it returns is kept. */
  readonly run: (repetition: number) => Promise<T>
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

export async function timed<T>(run: () => T | Promise<T>): Promise<[T, number]> {
  const start = now()
  const value = await run()
  return [value, now() - start]
}

/** Repetition 0 of every case warms up and is dropped. */
export async function interleave<T>(cases: readonly Case<T>[], repetitions: number): Promise<Map<string, T[]>> {
  const results = new Map<string, T[]>(cases.map(({ name }) => [name, []]))
  for (let repetition = 0; repetition <= repetitions; repetition++)
    for (const { name, run } of cases) {
      const value = await run(repetition)
      if (repetition > 0) results.get(name)!.push(value)
    }
  return results
}

/** Median over repetitions of a[i] / b[i]: both were measured one after the other. */
export function ratio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, i) => value / b[i]!))
}
