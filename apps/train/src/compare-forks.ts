/** Forks of a recipe in training, over all steps: prefixes, recovery, distinct calls, and how far the ranking agrees with exact entropy. Ratios of sums, with bands over seeds. Pure. */
import { type Band, type BandKind, type BootstrapOptions, bandKind, ratioOverSeeds } from '@axpo/eval'
import { perCall, perCalledPrefix, perPrefix, rankedCallsOf } from './compare-diagnostics.ts'
import type { Cell } from './compare-read.ts'
import type { StepMetrics } from './rl-step.ts'

export interface OverSeeds extends Band {
  /** That had anything to count. */
  readonly seeds: number
  /** What was counted: prefixes or calls, over all steps and seeds. */
  readonly count: number
}

export interface Forks {
  /** What the bands show; the number of seeds decides. */
  readonly bandKind: BandKind
  /** Prefixes resampled a step, over all steps. */
  readonly prefixes: number
  /** K as it was: of a prefix, mean; null without a prefix. */
  readonly continuations: number | null
  /** Prefixes with a right continuation, of all resampled ones. */
  readonly recovered: OverSeeds | null
  /** Among the continuations of a prefix that made a call; steps count by such prefixes. */
  readonly distinctCalls: OverSeeds | null
  /** Correlation of mean probability with exact entropy within a step, over its tool-using rollouts' first calls, resampled or not; steps count by their calls. */
  readonly pearson: OverSeeds | null
  readonly spearman: OverSeeds | null
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

export function forksOf(cells: readonly Cell[], steps: number, options: BootstrapOptions): Forks {
  const kind = bandKind(cells.length)
  const runs = cells.map((cell) => ({ metrics: cell.metrics.slice(0, steps), calls: rankedCallsOf(cell) }))
  const over = (
    figure: (m: StepMetrics) => number | null | undefined,
    weight: (m: StepMetrics, calls: number) => number,
  ): OverSeeds | null => {
    const sums = runs.map(({ metrics, calls }) => {
      const measured = metrics.flatMap((m, i) => {
        const value = figure(m)
        return typeof value === 'number' ? [{ value, weight: weight(m, calls[i]!) }] : []
      })
      return { above: sum(measured.map((x) => x.weight * x.value)), below: sum(measured.map((x) => x.weight)) }
    })
    const below = sums.map((s) => s.below)
    const band = ratioOverSeeds(
      sums.map((s) => s.above),
      below,
      kind,
      options,
    )
    return band && { ...band, seeds: below.filter((n) => n > 0).length, count: sum(below) }
  }
  const all = runs.flatMap((r) => r.metrics)
  const prefixes = sum(all.map(perPrefix))
  return {
    bandKind: kind,
    prefixes: prefixes / all.length,
    continuations: prefixes === 0 ? null : sum(all.map((m) => m.extraRollouts)) / prefixes,
    recovered: over((m) => m.recoveryRate, perPrefix),
    distinctCalls: over((m) => m.distinctCallsPerPrefix, perCalledPrefix),
    pearson: over((m) => m.rankingPearson, perCall),
    spearman: over((m) => m.rankingSpearman, perCall),
  }
}
