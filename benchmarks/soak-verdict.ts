/**
 * Whether memory stays flat: the slope of each figure over the points after the warm-up, as the median of the slopes between all pairs of points (Theil-Sen), which
 * a few points that stand out do not move. Pure; what is measured and how often: soak.ts.
 */
import { median } from './timing.ts'

/** MiB, but `allocations`, which counts what the executor asked of its device or memory. */
export interface MemoryPoint {
  readonly steps: number
  readonly tokens: number
  /** After a full collection. */
  readonly heap: number
  readonly arrayBuffers: number
  readonly external: number
  readonly rss: number
  readonly wasm: number
  readonly executor: number
  readonly allocations: number
}

export type Figure = Exclude<keyof MemoryPoint, 'steps' | 'tokens'>

interface Allowance {
  readonly figure: Figure
  readonly name: string
  /** Growth over all points after the warm-up that counts as none: a share of the middle, and something on top. */
  readonly share: number
  readonly more: number
}

/** What the project holds itself may not grow at all. What V8 and the system hold may waver by less than a leak of 1 KiB a training step comes to in 2,000. */
export const allowances: readonly Allowance[] = [
  { figure: 'heap', name: 'JS heap MiB', share: 0.02, more: 0.5 },
  { figure: 'arrayBuffers', name: 'array buffers MiB', share: 0, more: 1 },
  { figure: 'external', name: 'external MiB', share: 0, more: 1 },
  { figure: 'rss', name: 'resident MiB', share: 0.03, more: 8 },
  { figure: 'wasm', name: 'WebAssembly MiB', share: 0, more: 0 },
  { figure: 'executor', name: 'executor buffers MiB', share: 0, more: 0 },
  { figure: 'allocations', name: 'allocations', share: 0, more: 0 },
]

export interface Verdict {
  readonly name: string
  /** Median after the warm-up. */
  readonly middle: number
  /** By the slope, from the first point after the warm-up to the last. */
  readonly growth: number
  readonly allowed: number
  readonly verdict: 'flat' | 'GROWS' | 'not judged'
}

/** Growth a point. */
function slope(values: readonly number[]): number {
  const slopes: number[] = []
  for (let i = 0; i < values.length; i++)
    for (let j = i + 1; j < values.length; j++) slopes.push((values[j]! - values[i]!) / (j - i))
  return median(slopes)
}

/** The first `warm` points are left out. */
export function judge(points: readonly MemoryPoint[], warm: number, unjudged: readonly Figure[] = []): Verdict[] {
  const settled = points.slice(warm)
  if (settled.length < 5)
    throw new Error(
      `soak: a slope needs at least 5 points after the warm-up, got ${settled.length}. Measure more often.`,
    )
  return allowances.map(({ figure, name, share, more }) => {
    const values = settled.map((point) => point[figure])
    const middle = median(values)
    const growth = slope(values) * (values.length - 1)
    const allowed = middle * share + more
    const verdict = unjudged.includes(figure) ? 'not judged' : growth <= allowed ? 'flat' : 'GROWS'
    return { name, middle, growth, allowed, verdict }
  })
}
