/**
 * What the metrics of a run's steps say, figure by figure: those that tell the story, and the other diagnostics a run reports (docs/method.md; arXiv 2605.28774, sections 3
 * and 5). Each with its unit and how steps are averaged. Pure. Not here: bands over seeds (compare-curves.ts), drawing.
 */
import { trailingMean } from '@axpo/eval'
import type { Cell } from './compare-read.ts'
import type { StepMetrics } from './rl-step.ts'

export interface TrainingFigure {
  readonly title: string
  readonly unit: string
  /** Null or missing: nothing was there to measure. */
  readonly value: (m: StepMetrics) => number | null | undefined
  /** What a step counts in a mean over steps: how much it measured. All alike by default. */
  readonly weight?: (m: StepMetrics, rankedCalls: number) => number
  /** Between 0 and 1; tables show percent. */
  readonly rate?: true
}

export const perPrefix = (m: StepMetrics): number => m.selectedPrefixes
export const perCalledPrefix = (m: StepMetrics): number => m.calledPrefixes ?? m.selectedPrefixes
export const perCall = (_: StepMetrics, rankedCalls: number): number => rankedCalls

export const mainFigures = {
  toolUse: {
    title: 'Tool use in training',
    unit: 'rollouts with a tool call',
    value: (m) => m.toolUseRate,
    rate: true,
  },
  allWrong: {
    title: 'All-wrong tool subgroups in training',
    unit: 'share of tool subgroups',
    value: (m) => m.allWrongToolRate,
    rate: true,
  },
  recovery: {
    title: 'Recovered prefixes in training',
    unit: 'share of resampled prefixes',
    value: (m) => m.recoveryRate,
    weight: perPrefix,
    rate: true,
  },
  reward: { title: 'Reward in training', unit: 'mean reward of a rollout', value: (m) => m.reward },
} as const satisfies Record<string, TrainingFigure>
export type MainFigure = keyof typeof mainFigures

const diagnosticFigures: Readonly<Record<string, TrainingFigure>> = {
  allWrongNoTool: {
    title: 'All-wrong no-tool subgroups',
    unit: 'share of no-tool subgroups',
    value: (m) => m.allWrongNoToolRate,
    rate: true,
  },
  accuracyWithTool: { title: 'Pass@1 where a tool was tried', unit: 'mean reward', value: (m) => m.accuracyWithTool },
  accuracyWithoutTool: {
    title: 'Pass@1 where none was tried',
    unit: 'mean reward',
    value: (m) => m.accuracyWithoutTool,
  },
  triggeredQuestions: { title: 'Triggered questions', unit: 'questions a step', value: (m) => m.triggeredQuestions },
  selectedPrefixes: { title: 'Selected prefixes', unit: 'prefixes a step', value: (m) => m.selectedPrefixes },
  extraRollouts: { title: 'Budget used', unit: 'extra rollouts a step', value: (m) => m.extraRollouts },
  distinctCalls: {
    title: 'Distinct calls a resampled prefix',
    unit: 'calls of its K continuations',
    value: (m) => m.distinctCallsPerPrefix,
    weight: perCalledPrefix,
  },
  advantageOnCalls: {
    title: 'Mean advantage on tool-call tokens',
    unit: 'advantage',
    value: (m) => m.meanAdvantageOnCalls,
  },
  entropyThinkNats: { title: 'Entropy of thinking', unit: 'nats a token', value: (m) => m.entropyThinkNats },
  entropyActNats: { title: 'Entropy of tool calls', unit: 'nats a token', value: (m) => m.entropyActNats },
  entropyAnswerNats: { title: 'Entropy of answers', unit: 'nats a token', value: (m) => m.entropyAnswerNats },
  rankingPearson: {
    title: 'Ranking agreement, Pearson',
    unit: 'correlation within a step',
    value: (m) => m.rankingPearson,
    weight: perCall,
  },
  rankingSpearman: {
    title: 'Ranking agreement, Spearman',
    unit: 'correlation within a step',
    value: (m) => m.rankingSpearman,
    weight: perCall,
  },
  clipFraction: { title: 'Clip fraction', unit: 'share of trained tokens', value: (m) => m.clipFraction },
  klNats: { title: 'KL against the SFT model', unit: 'nats a token', value: (m) => m.klNats },
  responseTokens: { title: 'Response length', unit: 'sampled tokens', value: (m) => m.responseTokens },
}

const errorsPrefix = 'toolErrors '

/** A step without an error of a kind has 0 of it. */
const errorFigure = (kind: string): TrainingFigure => ({
  title: `Tool errors: ${kind}`,
  unit: 'errors a step',
  value: (m) => (m.toolErrors === undefined ? null : (m.toolErrors[kind] ?? 0)),
})

/** Of all runs of a group, so that every recipe has the same: also the kinds of tool errors that any of them met. */
export function diagnosticNames(cells: readonly Cell[]): string[] {
  const kinds = new Set(cells.flatMap((c) => c.metrics.flatMap((m) => Object.keys(m.toolErrors ?? {}))))
  return [...Object.keys(diagnosticFigures), ...[...kinds].sort().map((kind) => errorsPrefix + kind)]
}

/** The figure of one of diagnosticNames, or of mainFigures. */
export function figureNamed(name: string): TrainingFigure {
  if (name.startsWith(errorsPrefix)) return errorFigure(name.slice(errorsPrefix.length))
  const found = { ...mainFigures, ...diagnosticFigures }[name]
  if (!found) throw new Error(`figureNamed: must be a figure of training, got ${name}.`)
  return found
}

/** Calls behind a step's ranking agreement; for metrics that do not say it, its tool-using rollouts. */
export function rankedCallsOf(cell: Pick<Cell, 'metrics' | 'spent'>): number[] {
  const spent = new Map(cell.spent.map((s) => [s.step, s.rollouts]))
  return cell.metrics.map((m) => {
    if (m.rankedCalls !== undefined) return m.rankedCalls
    const rollouts = spent.get(m.step)
    if (rollouts === undefined) throw new Error(`compare: spent.jsonl must have a line for step ${m.step}, got none.`)
    return Math.round((m.toolUseRate ?? 0) * (rollouts - m.extraRollouts))
  })
}

/** Trailing means of a figure over the steps of one run, each step with its weight; null where nothing was measured. */
export function trailing(
  cell: Pick<Cell, 'metrics' | 'spent'>,
  { value, weight }: TrainingFigure,
  window: number,
): (number | null)[] {
  const calls = weight ? rankedCallsOf(cell) : []
  const weights = cell.metrics.map((m, i) => (typeof value(m) === 'number' ? (weight?.(m, calls[i]!) ?? 1) : null))
  const means = trailingMean(
    cell.metrics.map((m, i) => (weights[i] === null ? null : weights[i]! * value(m)!)),
    window,
  )
  return trailingMean(weights, window).map((w, i) => (w === null || w === 0 ? null : means[i]! / w))
}

/** Of the steps of a run, how many its beginning and its end are. */
export const endShare = 0.2

/** Mean over seeds of each seed's mean over some steps, and the seeds that measured it. */
export interface WindowMean {
  readonly mean: number | null
  readonly seeds: number
}

export interface FirstAndLast {
  readonly first: WindowMean
  readonly last: WindowMean
}

/** The first and the last fifth of the steps; at least one step each. */
export function firstAndLast(cells: readonly Cell[], figure: TrainingFigure, lastStep: number): FirstAndLast {
  const steps = Math.max(1, Math.round(endShare * lastStep))
  const windowMean = (from: number): WindowMean => {
    const values = cells
      .map((cell) => trailing({ ...cell, metrics: cell.metrics.slice(from, from + steps) }, figure, steps).at(-1)!)
      .filter((v) => v !== null)
    return {
      mean: values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length,
      seeds: values.length,
    }
  }
  return { first: windowMean(0), last: windowMean(lastStep - steps) }
}
