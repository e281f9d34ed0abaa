/**
 * Statistics over whole runs, one number or one curve a seed: probability of improvement, interquartile mean, bands and areas of learning curves,
 * ratios of sums, correction for several tests.
 * Pure functions; not here: questions (statistics-bootstrap.ts). Source of the first two: Agarwal et al. 2021, arXiv 2108.13264 (rliable).
 *
 * Legend: M families (tasks), S seeds.
 */
import { createUniform } from './statistics.ts'
import { type BootstrapOptions, defaultBootstrap, quantile } from './statistics-bootstrap.ts'

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** 1 where a run of X beats one of Y, .5 where they tie, 0 elsewhere; x-major. */
function winsOf(x: readonly number[], y: readonly number[]): Float64Array {
  return Float64Array.from(x.flatMap((a) => y.map((b) => (a > b ? 1 : a === b ? 0.5 : 0))))
}

function drawIndices(indices: Int32Array, uniform: () => number): void {
  for (let i = 0; i < indices.length; i++) indices[i] = Math.floor(uniform() * indices.length)
}

/** Mean of the wins over the drawn runs of X and Y. */
function drawnMean(wins: Float64Array, ofX: Int32Array, ofY: Int32Array): number {
  let sum = 0
  for (let i = 0; i < ofX.length; i++) for (let j = 0; j < ofY.length; j++) sum += wins[ofX[i]! * ofY.length + ofY[j]!]!
  return sum / wins.length
}

/** Its interval is drawn over runs only. */
export interface RunEstimate {
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
): RunEstimate {
  if (x_MS.length === 0 || x_MS.length !== y_MS.length)
    throw new Error(`probabilityOfImprovement: both need the same families, got ${x_MS.length} and ${y_MS.length}.`)
  if ([...x_MS, ...y_MS].some((scores) => scores.length === 0))
    throw new Error('probabilityOfImprovement: every family needs at least one run of each.')
  const uniform = createUniform(options.seed)
  const drawn_M = x_MS.map((x, m) => ({
    wins: winsOf(x, y_MS[m]!),
    ofX: new Int32Array(x.length),
    ofY: new Int32Array(y_MS[m]!.length),
  }))
  const replicates = new Float64Array(options.replicates)
  for (let r = 0; r < replicates.length; r++)
    for (const { wins, ofX, ofY } of drawn_M) {
      drawIndices(ofX, uniform)
      drawIndices(ofY, uniform)
      replicates[r]! += drawnMean(wins, ofX, ofY) / drawn_M.length
    }
  replicates.sort()
  return {
    // P(X > Y) + P(X = Y) / 2 over all pairs of seeds: Mann & Whitney's U / (S_x S_y)
    estimate: mean(drawn_M.map(({ wins }) => mean([...wins]))),
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

/**
 * Interquartile mean over the run scores of all families together, scores[m][s]: less moved by a few runs that failed or shone than the mean. The interval draws the seeds of each family for
 * itself (rliable's stratified bootstrap).
 */
export function interquartileOverRuns(
  scores_MS: readonly (readonly number[])[],
  options: BootstrapOptions = defaultBootstrap,
): RunEstimate {
  const uniform = createUniform(options.seed)
  const replicates = Float64Array.from({ length: options.replicates }, () =>
    interquartileMean(scores_MS.flatMap((scores) => scores.map(() => scores[Math.floor(uniform() * scores.length)]!))),
  ).sort()
  return {
    estimate: interquartileMean(scores_MS.flat()),
    low: quantile(replicates, (1 - options.level) / 2),
    high: quantile(replicates, (1 + options.level) / 2),
    replicates: replicates.length,
    seeds: scores_MS[0]!.length,
  }
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

/**
 * Mean over seeds with its band at each point of a curve, values[seed][point]; null where no seed has a value. An interval draws whole seeds, the same at
 * every point; it is pointwise, no bound on the curve as a whole.
 */
export function bandsOverSeeds(
  values_ST: readonly (readonly (number | null)[])[],
  kind: BandKind,
  options: BootstrapOptions = defaultBootstrap,
): (Band | null)[] {
  const seeds = values_ST.length
  const uniform = createUniform(options.seed)
  const drawn_RS = Int32Array.from({ length: kind === 'interval' ? options.replicates * seeds : 0 }, () =>
    Math.floor(uniform() * seeds),
  )
  return (values_ST[0] ?? []).map((_, t) => {
    const column = values_ST.map((row) => row[t] ?? null)
    const present = column.filter((v): v is number => v !== null)
    if (present.length === 0) return null
    if (kind === 'min-max') return { mean: mean(present), low: Math.min(...present), high: Math.max(...present) }
    const means = drawnMeans(column, drawn_RS)
    return {
      mean: mean(present),
      low: quantile(means, (1 - options.level) / 2),
      high: quantile(means, (1 + options.level) / 2),
    }
  })
}

/** Means of each replicate's seeds that have a value, ascending; replicates without any are left out. */
function drawnMeans(column: readonly (number | null)[], drawn_RS: Int32Array): Float64Array {
  const seeds = column.length
  const value_S = Float64Array.from(column, (v) => v ?? 0)
  const has_S = Float64Array.from(column, (v) => (v === null ? 0 : 1))
  const means = new Float64Array(drawn_RS.length / seeds)
  let count = 0
  for (let r = 0; r < means.length; r++) {
    let sum = 0
    let present = 0
    for (let i = r * seeds; i < (r + 1) * seeds; i++) {
      sum += value_S[drawn_RS[i]!]!
      present += has_S[drawn_RS[i]!]!
    }
    if (present > 0) means[count++] = sum / present
  }
  return means.subarray(0, count).sort()
}

/**
 * Sum of numerators / sum of denominators over seeds (one of each a seed), with the band that bandsOverSeeds would give it: an interval draws whole seeds, otherwise
 * the lowest and highest seed. Null where all denominators are 0.
 */
export function ratioOverSeeds(
  numerators: readonly number[],
  denominators: readonly number[],
  kind: BandKind,
  options: BootstrapOptions = defaultBootstrap,
): Band | null {
  if (numerators.length !== denominators.length)
    throw new Error(
      `ratioOverSeeds: needs a numerator and a denominator a seed, got ${numerators.length} and ${denominators.length}.`,
    )
  const seeds = numerators.length
  const ratioOf = (drawn: readonly number[]): number | null => {
    const below = drawn.reduce((n, s) => n + denominators[s]!, 0)
    return below === 0 ? null : drawn.reduce((n, s) => n + numerators[s]!, 0) / below
  }
  const every = Array.from({ length: seeds }, (_, s) => s)
  const all = ratioOf(every)
  if (all === null) return null
  const uniform = createUniform(options.seed)
  const drawn =
    kind === 'min-max'
      ? every.map((s) => [s])
      : Array.from({ length: options.replicates }, () => every.map(() => Math.floor(uniform() * seeds)))
  const ratios = drawn
    .map(ratioOf)
    .filter((v) => v !== null)
    .sort((a, b) => a - b)
  const at = (q: number) => quantile(ratios, q)
  return kind === 'min-max'
    ? { mean: all, low: at(0), high: at(1) }
    : { mean: all, low: at((1 - options.level) / 2), high: at((1 + options.level) / 2) }
}

/** p-values of a family of tests, adjusted so that the chance of any false one is at most the level: Holm 1979, Scandinavian Journal of Statistics 6. In the order given. */
export function holmAdjusted(p: readonly number[]): number[] {
  const adjusted = new Array<number>(p.length)
  let largest = 0
  const order = p.map((value, i) => ({ value, i })).sort((a, b) => a.value - b.value)
  for (const [k, { value, i }] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (p.length - k) * value))
    adjusted[i] = largest
  }
  return adjusted
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
