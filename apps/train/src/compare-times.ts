/** Wall times of a comparison, apart from its results: they differ from run to run. */
import type { Group } from './compare-read.ts'
import type { GroupResult } from './compare-result.ts'

export interface CompareTimes {
  /** Cells that ran at once. */
  readonly processes: number
  readonly cells: readonly {
    readonly recipe: string
    readonly seed: number
    readonly easyShare: number
    readonly trainSeconds: number
    readonly evaluateSeconds: number
  }[]
}

export function timesOf(groups: readonly Group[], processes: number): CompareTimes {
  return {
    processes,
    cells: groups.flatMap((g) =>
      [...g.cells.values()].flat().map(({ recipe, seed, easyShare, seconds }) => ({
        recipe,
        seed,
        easyShare,
        trainSeconds: seconds.train,
        evaluateSeconds: seconds.evaluate,
      })),
    ),
  }
}

/** Means over a group's seeds. */
export function armSeconds(
  times: CompareTimes,
  group: Pick<GroupResult, 'easyShare'>,
  recipe: string,
): { readonly train: number; readonly evaluate: number } | null {
  const cells = times.cells.filter((c) => c.recipe === recipe && c.easyShare === group.easyShare)
  if (cells.length === 0) return null
  const mean = (f: (c: CompareTimes['cells'][number]) => number) => cells.reduce((a, c) => a + f(c), 0) / cells.length
  return { train: mean((c) => c.trainSeconds), evaluate: mean((c) => c.evaluateSeconds) }
}
