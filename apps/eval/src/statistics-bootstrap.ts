/**
 * Intervals and tests for scores that have two sources of chance: training seeds and questions. Pure functions over numbers; not here: how scores were made.
 *
 * Bootstrap: seeds and questions are crossed (every seed answers the same questions), so a replicate draws seeds with replacement and, within each family,
 * questions with replacement, the same for all seeds drawn: the pigeonhole bootstrap of Owen 2007 (Annals of Applied Statistics 1(2)), with the families
 * as fixed strata as in rliable (Agarwal et al. 2021, arXiv 2108.13264). Intervals are percentiles (Efron & Tibshirani 1993, chapter 13).
 * Sign-flip test: Fisher's randomisation test for paired differences (Fisher 1935, section 21), exact over all 2^S signs.
 *
 * Legend: M families (strata), S seeds, Q questions of a family.
 */
import { createUniform } from './statistics.ts'

/** scores[m][s][q]: family, seed, question. Every family has the same seeds; families may have different numbers of questions. */
export type ScoresMSQ = readonly (readonly (readonly number[])[])[]

export interface BootstrapOptions {
  readonly replicates: number
  /** Of the random numbers, not of the training. */
  readonly seed: number
  /** Coverage aimed at, as .95. */
  readonly level: number
}

export const defaultBootstrap: BootstrapOptions = { replicates: 10_000, seed: 1, level: 0.95 }

/** An estimate with its interval, and what the interval rests on. */
export interface Estimate {
  readonly estimate: number
  readonly low: number
  readonly high: number
  /** Two-sided bootstrap p-value of the estimate being 0: 2 min(#{D* <= 0} + 1, #{D* >= 0} + 1) / (R + 1), at most 1 (Davison & Hinkley 1997, section 4.4). */
  readonly p: number
  readonly replicates: number
  readonly seeds: number
  readonly questions: number
}

/** Quantile of ascending values, linear between order statistics (definition 7 of Hyndman & Fan 1996). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) throw new Error('quantile: needs at least one value, got 0.')
  if (!(q >= 0 && q <= 1)) throw new Error(`quantile: q must lie in [0, 1], got ${q}.`)
  const at = q * (sorted.length - 1)
  const below = Math.floor(at)
  const low = sorted[below]!
  return low + (at - below) * (sorted[Math.min(sorted.length - 1, below + 1)]! - low)
}

const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}

function checkScores(scores: ScoresMSQ): { readonly seeds: number; readonly questions: readonly number[] } {
  const seeds = scores[0]?.length ?? 0
  if (seeds === 0) throw new Error('bootstrap: needs at least one family and one seed, got none.')
  const questions = scores.map((family, m) => {
    if (family.length !== seeds)
      throw new Error(
        `bootstrap: every family needs the same seeds, got ${family.length} in family ${m}, not ${seeds}.`,
      )
    const count = family[0]!.length
    if (count === 0 || family.some((s) => s.length !== count))
      throw new Error(`bootstrap: every seed needs the same questions, at least one, in family ${m}.`)
    for (const row of family)
      for (const v of row) if (!Number.isFinite(v)) throw new Error(`bootstrap: scores must be finite, got ${v}.`)
    return count
  })
  return { seeds, questions }
}

function estimateOf(
  replicates: Float64Array,
  value: number,
  level: number,
  sizes: Pick<Estimate, 'seeds' | 'questions'>,
): Estimate {
  let atMost = 0
  let atLeast = 0
  for (const d of replicates) {
    if (d <= 0) atMost++
    if (d >= 0) atLeast++
  }
  const sorted = replicates.toSorted()
  return {
    estimate: value,
    low: quantile(sorted, (1 - level) / 2),
    high: quantile(sorted, (1 + level) / 2),
    p: Math.min(1, (2 * (Math.min(atMost, atLeast) + 1)) / (replicates.length + 1)),
    replicates: replicates.length,
    ...sizes,
  }
}

/** How often each of n things is drawn in n draws with replacement. */
function drawWeights(weights: Float64Array, uniform: () => number): void {
  weights.fill(0)
  for (let i = 0; i < weights.length; i++) weights[Math.floor(uniform() * weights.length)]!++
}

/** Sum of one family (seeds x questions, row-major) under the drawn weights. */
function weightedSum(scores_SQ: Float64Array, weight_S: Float64Array, weight_Q: Float64Array): number {
  const questions = weight_Q.length
  let sum = 0
  for (let s = 0; s < weight_S.length; s++) {
    const weight = weight_S[s]!
    if (weight === 0) continue
    let rowSum = 0
    for (let q = 0; q < questions; q++) rowSum += weight_Q[q]! * scores_SQ[s * questions + q]!
    sum += weight * rowSum
  }
  return sum
}

/** Draws seeds, and each family's questions, `replicates` times. */
function eachReplicate(
  { seeds, questions }: ReturnType<typeof checkScores>,
  options: BootstrapOptions,
  use: (replicate: number, weight_S: Float64Array, weights_M: readonly Float64Array[]) => void,
): void {
  const uniform = createUniform(options.seed)
  const weight_S = new Float64Array(seeds)
  const weights_M = questions.map((count) => new Float64Array(count))
  for (let r = 0; r < options.replicates; r++) {
    drawWeights(weight_S, uniform)
    for (const weights of weights_M) drawWeights(weights, uniform)
    use(r, weight_S, weights_M)
  }
}

const flatFamilies = (scores: ScoresMSQ): Float64Array[] => scores.map((family) => Float64Array.from(family.flat()))

/** Interval of the mean over families (equal weights), and of each family, from the same draws. */
export function hierarchicalBootstrap(
  scores: ScoresMSQ,
  options: BootstrapOptions = defaultBootstrap,
): { readonly mean: Estimate; readonly families: readonly Estimate[] } {
  const sizes = checkScores(scores)
  const { seeds, questions } = sizes
  const { replicates, level } = options
  const flat_M = flatFamilies(scores)
  const means_M = scores.map(() => new Float64Array(replicates))
  const overall = new Float64Array(replicates)
  eachReplicate(sizes, options, (r, weight_S, weights_M) => {
    for (let m = 0; m < flat_M.length; m++) {
      const value = weightedSum(flat_M[m]!, weight_S, weights_M[m]!) / (seeds * questions[m]!)
      means_M[m]![r] = value
      overall[r]! += value / flat_M.length
    }
  })
  const points = scores.map((family) => mean(family.map((row) => mean(row))))
  const all = questions.reduce((a, b) => a + b, 0)
  return {
    mean: estimateOf(overall, mean(points), level, { seeds, questions: all }),
    families: points.map((p, m) => estimateOf(means_M[m]!, p, level, { seeds, questions: questions[m]! })),
  }
}

export type RatioEstimate = Omit<Estimate, 'p'>

/**
 * Interval of a rate whose base is itself drawn, such as right rollouts of tool-using ones: sum of numerators / sum of denominators over all families, and of each
 * family, from the draws of hierarchicalBootstrap. Null where nothing was there to count; replicates that drew nothing to count are left out.
 */
export function hierarchicalRatio(
  numerators: ScoresMSQ,
  denominators: ScoresMSQ,
  options: BootstrapOptions = defaultBootstrap,
): { readonly all: RatioEstimate | null; readonly families: readonly (RatioEstimate | null)[] } {
  const sizes = checkScores(numerators)
  const other = checkScores(denominators)
  if (other.seeds !== sizes.seeds || other.questions.join() !== sizes.questions.join())
    throw new Error('hierarchicalRatio: numerators and denominators need the same families, seeds and questions.')
  const [above_M, below_M] = [flatFamilies(numerators), flatFamilies(denominators)]
  // one more than families: all together
  const ratios = [...above_M, above_M].map(() => [] as number[])
  const keep = (i: number, above: number, below: number) => below > 0 && ratios[i]!.push(above / below)
  eachReplicate(sizes, options, (_, weight_S, weights_M) => {
    let [above, below] = [0, 0]
    for (const [m, weights] of weights_M.entries()) {
      const a = weightedSum(above_M[m]!, weight_S, weights)
      const b = weightedSum(below_M[m]!, weight_S, weights)
      keep(m, a, b)
      above += a
      below += b
    }
    keep(weights_M.length, above, below)
  })
  const total = (families: readonly Float64Array[]) => families.reduce((n, f) => n + f.reduce((a, b) => a + b, 0), 0)
  const estimate = (i: number, above: number, below: number, questions: number): RatioEstimate | null => {
    if (below === 0) return null
    const { p: _, ...rest } = estimateOf(Float64Array.from(ratios[i]!), above / below, options.level, {
      seeds: sizes.seeds,
      questions,
    })
    return rest
  }
  return {
    all: estimate(above_M.length, total(above_M), total(below_M), total([Float64Array.from(sizes.questions)])),
    families: above_M.map((above, m) => estimate(m, total([above]), total([below_M[m]!]), sizes.questions[m]!)),
  }
}

/** a - b, seed by seed and question by question. */
export function pairedDifference(a: ScoresMSQ, b: ScoresMSQ): number[][][] {
  if (a.length !== b.length)
    throw new Error(`pairedDifference: both need the same families, got ${a.length} and ${b.length}.`)
  return a.map((family, m) => {
    if (family.length !== b[m]!.length)
      throw new Error(`pairedDifference: both need the same seeds, got ${family.length} and ${b[m]!.length}.`)
    return family.map((row, s) => {
      const other = b[m]![s]!
      if (row.length !== other.length)
        throw new Error(`pairedDifference: both need the same questions, got ${row.length} and ${other.length}.`)
      return row.map((v, q) => v - other[q]!)
    })
  })
}

/** Most seeds of the exact test: 2^20 signs. */
const signFlipLimit = 20

/** Two-sided exact p-value that the differences (one a seed) are as often negative as positive: the share of sign patterns with a mean at least as far from 0. */
export function signFlipTest(differences: readonly number[]): number {
  const n = differences.length
  if (n === 0 || n > signFlipLimit)
    throw new Error(`signFlipTest: exact for 1 to ${signFlipLimit} differences, got ${n}.`)
  const observed = Math.abs(differences.reduce((a, b) => a + b, 0))
  // sums of the same numbers in another order differ in the last bits: those count as equal
  const tolerance = 1e-12 * differences.reduce((a, b) => a + Math.abs(b), 0)
  let extreme = 0
  for (let signs = 0; signs < 2 ** n; signs++) {
    let sum = 0
    for (let i = 0; i < n; i++) sum += signs & (1 << i) ? -differences[i]! : differences[i]!
    if (Math.abs(sum) >= observed - tolerance) extreme++
  }
  return extreme / 2 ** n
}
