/**
 * Statistics over whole runs, one number or one curve a seed: probability of improvement, interquartile mean, bands and areas of learning curves.
 * Pure functions; not here: questions (statistics-bootstrap.ts). Source of the first two: Agarwal et al. 2021, arXiv 2108.13264 (rliable).
 *
 * Legend: M families (tasks), S seeds.
 */
import { createUniform } from './statistics.ts'
import { type BootstrapOptions, defaultBootstrap, quantile } from './statistics-bootstrap.ts'

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** P(X > Y) + P(X = Y) / 2 over all pairs of seeds (Mann & Whitney's U / S_x S_y). */
function improvementOf(x: readonly number[], y: readonly number[]): number {
  let wins = 0
  for (const a of x) for (const b of y) wins += a > b ? 1 : a === b ? 0.5 : 0
  return wins / (x.length * y.length)
}

export interface Improvement {
  readonly estimate: number
  readonly low: number
  readonly high: number
  readonly replicates: number
  readonly seeds: number
}

/**
 * Probability that a run of X scores higher than one of Y, mean over families. scores[m][s]. The interval draws the seeds of X and of Y, each family for
 * itself (rliable's stratified bootstrap).
 */
export function probabilityOfImprovement(
  x_MS: readonly (readonly number[])[],
  y_MS: readonly (readonly number[])[],
  options: BootstrapOptions = defaultBootstrap,
): Improvement {
  if (x_MS.length === 0 || x_MS.length !== y_MS.length)
    throw new Error(`probabilityOfImprovement: both need the same families, got ${x_MS.length} and ${y_MS.length}.`)
  if ([...x_MS, ...y_MS].some((scores) => scores.length === 0))
    throw new Error('probabilityOfImprovement: every family needs at least one run of each.')
  const uniform = createUniform(options.seed)
  const draw = (values: readonly number[]) => values.map(() => values[Math.floor(uniform() * values.length)]!)
  const replicates = new Float64Array(options.replicates)
  for (let r = 0; r < replicates.length; r++)
    replicates[r] = mean(x_MS.map((x, m) => improvementOf(draw(x), draw(y_MS[m]!))))
  replicates.sort()
  return {
    estimate: mean(x_MS.map((x, m) => improvementOf(x, y_MS[m]!))),
    low: quantile(replicates, (1 - options.level) / 2),
    high: quantile(replicates, (1 + options.level) / 2),
    replicates: replicates.length,
    seeds: x_MS[0]!.length,
  }
}

/** Mean of what is left after dropping floor(n / 4) values at each end. */
export function interquartileMean(values: readonly number[]): number {
  if (values.length === 0) throw new Error('interquartileMean: needs at least one value, got 0.')
  const drop = Math.floor(values.length / 4)
  return mean(values.toSorted((a, b) => a - b).slice(drop, values.length - drop))
}

/** Below this many seeds a percentile interval over them says little; bands then show the extremes. */
export const intervalSeeds = 6

export type BandKind = 'interval' | 'min-max'

export interface Band {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** What bands over so many seeds show: a bootstrap interval of the mean over seeds, or the lowest and highest seed. */
export function bandKind(seeds: number): BandKind {
  return seeds < intervalSeeds ? 'min-max' : 'interval'
}

/** Mean over seeds with its band; null where no seed has a value. */
export function bandOverSeeds(
  values: readonly (number | null)[],
  kind: BandKind,
  options: BootstrapOptions = defaultBootstrap,
): Band | null {
  const present = values.filter((v): v is number => v !== null)
  if (present.length === 0) return null
  if (kind === 'min-max') return { mean: mean(present), low: Math.min(...present), high: Math.max(...present) }
  const uniform = createUniform(options.seed)
  const means = new Float64Array(options.replicates)
  for (let r = 0; r < means.length; r++) {
    let sum = 0
    for (let i = 0; i < present.length; i++) sum += present[Math.floor(uniform() * present.length)]!
    means[r] = sum / present.length
  }
  means.sort()
  return {
    mean: mean(present),
    low: quantile(means, (1 - options.level) / 2),
    high: quantile(means, (1 + options.level) / 2),
  }
}

/** Area under a curve by the trapezoid rule, divided by its width: the mean height, in the unit of y. One point: its height. */
export function meanArea(x: readonly number[], y: readonly number[]): number {
  if (x.length === 0 || x.length !== y.length)
    throw new Error(`meanArea: x and y need the same number of points, at least one, got ${x.length} and ${y.length}.`)
  if (x.length === 1) return y[0]!
  let area = 0
  for (let i = 1; i < x.length; i++) {
    const width = x[i]! - x[i - 1]!
    if (!(width > 0)) throw new Error(`meanArea: x must ascend, got ${x[i - 1]} before ${x[i]}.`)
    area += (width * (y[i]! + y[i - 1]!)) / 2
  }
  return area / (x.at(-1)! - x[0]!)
}

/** Mean of each value and the `window` - 1 before it; missing ones are left out, and null stands where all are missing. */
export function trailingMean(values: readonly (number | null)[], window: number): (number | null)[] {
  return values.map((_, i) => {
    const present = values.slice(Math.max(0, i - window + 1), i + 1).filter((v): v is number => v !== null)
    return present.length === 0 ? null : mean(present)
  })
}
