/** Figures of the acceptance gate from rollouts of an SFT checkpoint, for all families and each. Pure; the gate's bounds are @axpo/tasks'. */
import { answers, type CalibrationFigures, calibrationGate } from '@axpo/tasks'
import { type Trajectory, usesTool } from '@axpo/trajectory'
import { countByQuestion } from './evaluate.ts'
import { summarise } from './statistics.ts'

export interface CalibrationRow extends CalibrationFigures {
  readonly name: string
  readonly rollouts: number
  /** q0, the share of right tool-using rollouts; null when none used a tool. */
  readonly accuracyWithTool: number | null
  /** g, the share of right rollouts without a tool. */
  readonly accuracyWithoutTool: number | null
}

function row(name: string, trajectories: readonly Trajectory[]): CalibrationRow {
  const calls = trajectories.flatMap((t) => t.segments.flatMap((s) => s.call ?? []))
  const summary = summarise(name, countByQuestion(trajectories), 1)
  const wellFormed = trajectories.filter((t) => t.finish === 'answer' && answers.includes(t.answer?.trim() ?? ''))
  return {
    name,
    rollouts: trajectories.length,
    formatRate: wellFormed.length / trajectories.length,
    validCallRate: calls.length === 0 ? 1 : calls.filter((c) => c.status === 'ok').length / calls.length,
    toolUseRate: trajectories.filter(usesTool).length / trajectories.length,
    allWrongToolRate: summary.allWrongRate ?? 0,
    accuracyWithTool: summary.accuracyWithTool,
    accuracyWithoutTool: summary.accuracyWithoutTool,
  }
}

/** 'all' first, then the families in order of appearance. */
export function calibrationRows(trajectories: readonly Trajectory[]): CalibrationRow[] {
  const names = [...new Set(trajectories.map((t) => t.family))]
  return [
    row('all', trajectories),
    ...names.map((n) =>
      row(
        n,
        trajectories.filter((t) => t.family === n),
      ),
    ),
  ]
}

const shown = (v: number | null): string => (v === null ? '-' : v.toFixed(3))

/** The table, then one line a bound: PASS or FAIL. */
export function formatCalibration(rows: readonly CalibrationRow[]): { readonly text: string; readonly pass: boolean } {
  const titles = [
    'family',
    'rollouts',
    'format',
    'valid calls',
    'tool use',
    'all wrong',
    'q: right | tool',
    'g: right | none',
  ]
  const cells = rows.map((r) => [
    r.name,
    String(r.rollouts),
    shown(r.formatRate),
    shown(r.validCallRate),
    shown(r.toolUseRate),
    shown(r.allWrongToolRate),
    shown(r.accuracyWithTool),
    shown(r.accuracyWithoutTool),
  ])
  const widths = titles.map((t, c) => Math.max(t.length, ...cells.map((line) => line[c]!.length)))
  const table = [titles, ...cells].map((line) => line.map((cell, c) => cell.padStart(widths[c]!)).join('  '))
  const gate = calibrationGate(rows[0]!)
  const lines = gate.lines.map(
    (l) => `${l.pass ? 'PASS' : 'FAIL'}  ${l.name} ${l.value.toFixed(3)} (wanted ${l.low} to ${l.high})`,
  )
  return { text: [...table, '', ...lines].join('\n'), pass: gate.pass }
}
