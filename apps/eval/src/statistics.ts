/**
 * Pass@k and percentile bootstrap intervals over questions. Pure functions over counts; not here: how samples were drawn or graded.
 * Source of the estimator: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.
 */

/** One question's samples: n drawn, c right, and how many of the n opened a tool call. */
export interface QuestionCounts {
  readonly questionId: string
  readonly family: string
  readonly samples: number
  readonly correct: number
  readonly toolUsing: number
  readonly toolUsingCorrect: number
}

export interface Interval {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** Unbiased estimate in [0, 1] that at least one of k samples is right, from n samples with c right. Throws when n < k. */
export function passAtK(n: number, c: number, k: number): number {
  if (n < k) throw new Error(`passAtK: needs at least k samples, got n = ${n}, k = ${k}. Draw more samples a question.`)
  if (c < 0 || c > n) throw new Error(`passAtK: right answers must lie in 0..${n}, got ${c}.`)
  if (n - c < k) return 1
  let allWrong = 1
  for (let j = 0; j < k; j++) allWrong *= (n - c - j) / (n - j)
  return 1 - allWrong
}

/** Seeded uniform numbers in [0, 1) for resampling indices (mulberry32). */
export function createUniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296
  }
}

/** Percentile bootstrap of the mean over questions (clusters): 95 % interval from `replicates` resamples with replacement. */
export function bootstrapMean(values: readonly number[], replicates: number, seed: number): Interval {
  if (values.length === 0) throw new Error('bootstrapMean: no values. Evaluate at least one question.')
  const uniform = createUniform(seed)
  const means = new Float64Array(replicates)
  for (let r = 0; r < replicates; r++) {
    let sum = 0
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(uniform() * values.length)]!
    means[r] = sum / values.length
  }
  means.sort()
  const at = (q: number) => means[Math.min(replicates - 1, Math.max(0, Math.round(q * (replicates - 1))))]!
  return { mean: values.reduce((a, b) => a + b, 0) / values.length, low: at(0.025), high: at(0.975) }
}

/** What an evaluation reports, for all questions or one family. Rates in [0, 1]. */
export interface Summary {
  readonly name: string
  readonly questions: number
  readonly samplesPerQuestion: number
  /** Behind every interval. */
  readonly bootstrap: { readonly replicates: number; readonly seed: number }
  readonly passAt1: Interval
  readonly passAt4: Interval | null
  readonly toolUseRate: number
  /** Share of questions with a tool-using rollout whose tool-using rollouts are all wrong; null when no question used a tool. */
  readonly allWrongRate: number | null
  readonly accuracyWithTool: number | null
  readonly accuracyWithoutTool: number | null
}

const ratio = (a: number, b: number): number | null => (b === 0 ? null : a / b)

export function summarise(name: string, counts: readonly QuestionCounts[], replicates = 2000, seed = 1): Summary {
  if (counts.length === 0) throw new Error(`summarise: no questions in ${name}. Check the split and the family names.`)
  const sum = (f: (c: QuestionCounts) => number) => counts.reduce((a, c) => a + f(c), 0)
  const withTool = counts.filter((c) => c.toolUsing > 0)
  const smallest = Math.min(...counts.map((c) => c.samples))
  return {
    name,
    questions: counts.length,
    samplesPerQuestion: smallest,
    bootstrap: { replicates, seed },
    passAt1: bootstrapMean(
      counts.map((c) => passAtK(c.samples, c.correct, 1)),
      replicates,
      seed,
    ),
    passAt4:
      smallest < 4
        ? null
        : bootstrapMean(
            counts.map((c) => passAtK(c.samples, c.correct, 4)),
            replicates,
            seed,
          ),
    toolUseRate: sum((c) => c.toolUsing) / sum((c) => c.samples),
    allWrongRate: ratio(withTool.filter((c) => c.toolUsingCorrect === 0).length, withTool.length),
    accuracyWithTool: ratio(
      sum((c) => c.toolUsingCorrect),
      sum((c) => c.toolUsing),
    ),
    accuracyWithoutTool: ratio(
      sum((c) => c.correct - c.toolUsingCorrect),
      sum((c) => c.samples - c.toolUsing),
    ),
  }
}

/** All questions first, then each family in alphabetical order. */
export function summariseByFamily(counts: readonly QuestionCounts[], replicates = 2000, seed = 1): Summary[] {
  const families = [...new Set(counts.map((c) => c.family))].sort()
  return [
    summarise('all', counts, replicates, seed),
    ...families.map((f) =>
      summarise(
        f,
        counts.filter((c) => c.family === f),
        replicates,
        seed,
      ),
    ),
  ]
}
