/** How the tables of a comparison write figures: percent where a figure is a rate, and what an interval rests on. */
import type { Estimate } from '@axpo/eval'

export const percent = (v: number | null): string => (v === null ? '-' : (100 * v).toFixed(1))

/** Points; what rounds to 0 has no sign. */
function signed(v: number): string {
  const points = Number((100 * v).toFixed(1))
  return `${points > 0 ? '+' : ''}${Math.abs(points) === 0 ? '0.0' : points.toFixed(1)}`
}

type Shown = Pick<Estimate, 'estimate' | 'low' | 'high'>

/** In percent. */
export const interval = (e: Shown | null): string =>
  e === null ? '-' : `${percent(e.estimate)} [${percent(e.low)}, ${percent(e.high)}]`

/** In points. */
export const difference = (e: Shown): string => `${signed(e.estimate)} [${signed(e.low)}, ${signed(e.high)}]`

export const seedCount = (seeds: number): string => `${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`

export const replicateCount = (replicates: number): string => `${replicates.toLocaleString('en-US')} replicates`

/** What an interval rests on, as it is printed beside it. */
export const restsOn = (e: Pick<Estimate, 'seeds' | 'questions' | 'replicates'>): string =>
  `${seedCount(e.seeds)}, ${e.questions} questions, ${replicateCount(e.replicates)}`
