/** The acceptance gate of an SFT checkpoint: does it start where the Thinking-Acting Gap shows? Pure: figures in, verdict out. */

/** All rates in [0, 1], measured on rollouts of the checkpoint. */
export interface CalibrationFigures {
  readonly formatRate: number
  readonly validCallRate: number
  readonly toolUseRate: number
  readonly allWrongToolRate: number
}

export interface GateLine {
  readonly name: string
  readonly value: number
  readonly low: number
  readonly high: number
  readonly pass: boolean
}

const bounds: readonly [keyof CalibrationFigures, string, number, number][] = [
  ['formatRate', 'format', 0.98, 1],
  ['validCallRate', 'valid calls', 0.97, 1],
  ['toolUseRate', 'tool-use rate', 0.25, 0.35],
  ['allWrongToolRate', 'all-wrong tool subgroups', 0.35, 0.48],
]

export function calibrationGate(figures: CalibrationFigures): {
  readonly pass: boolean
  readonly lines: readonly GateLine[]
} {
  const lines = bounds.map(([key, name, low, high]) => ({
    name,
    value: figures[key],
    low,
    high,
    pass: figures[key] >= low && figures[key] <= high,
  }))
  return { pass: lines.every((l) => l.pass), lines }
}
