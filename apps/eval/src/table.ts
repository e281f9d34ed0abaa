/** Evaluation figures as an aligned text table. */
import type { Interval, Summary } from './statistics.ts'

const percent = (v: number | null): string => (v === null ? '-' : (100 * v).toFixed(1))
const interval = (v: Interval | null): string =>
  v === null ? '-' : `${percent(v.mean)} [${percent(v.low)}, ${percent(v.high)}]`

export interface TableRow {
  /** What was evaluated, as `SFT` or `AXPO`. */
  readonly label: string
  readonly summary: Summary
  /** Reward from which on a rollout is right; default 1. */
  readonly rewardThreshold?: number
}

const columns: readonly (readonly [string, (row: TableRow) => string])[] = [
  ['', (r) => r.label],
  ['family', (r) => r.summary.name],
  ['Pass@1', (r) => interval(r.summary.passAt1)],
  ['Pass@4', (r) => interval(r.summary.passAt4)],
  ['tool use', (r) => percent(r.summary.toolUseRate)],
  ['all wrong', (r) => percent(r.summary.allWrongRate)],
  ['right | tool', (r) => percent(r.summary.accuracyWithTool)],
  ['right | none', (r) => percent(r.summary.accuracyWithoutTool)],
  ['questions', (r) => `${r.summary.questions} x ${r.summary.samplesPerQuestion}`],
]

/** What the intervals of a table are, and what they rest on; its rows are of one bootstrap. */
export function intervalNote(rows: readonly TableRow[]): string {
  const settings = rows.map(
    ({ summary: { bootstrap: b } }) => `${b.replicates.toLocaleString('en-US')} replicates, bootstrap seed ${b.seed}`,
  )
  const thresholds = [...new Set(rows.map((row) => row.rewardThreshold ?? 1))]
  const right = thresholds.every((t) => t === 1)
    ? ''
    : ` Right: a reward of at least ${thresholds.join(' or, row by row, ')}.`
  return `Percent; in brackets 95 % percentile bootstrap intervals over questions, not over training seeds (${[...new Set(settings)].join('; ')}).${right}`
}

/** Percentages; 95 % bootstrap intervals over questions in brackets, what they rest on in a last line; `all wrong`: questions whose tool-using rollouts are all wrong. */
export function formatTable(rows: readonly TableRow[]): string {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, value]) => value(row)))]
  const widths = columns.map((_, c) => Math.max(...cells.map((line) => line[c]!.length)))
  const lines = cells.map((line) =>
    line.map((cell, c) => (c < 2 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  '),
  )
  return [...lines, intervalNote(rows)].join('\n')
}
