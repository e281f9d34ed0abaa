/** Wall times of a comparison, apart from its results: they differ from run to run. */
import type { Group } from './compare-read.ts'
import type { Arm, GroupResult } from './compare-result.ts'

export interface CompareTimes {
  /** Cells that ran at once. */
  readonly processes: number
  readonly cells: readonly {
    readonly recipe: string
    readonly seed: number
    readonly easyShare: number
    /** Of each step. */
    readonly trainSeconds: readonly number[]
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

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** Means over the seeds of an arm: training until its steps, all evaluations of its cells. */
export function armSeconds(
  times: CompareTimes,
  group: Pick<GroupResult, 'easyShare' | 'seeds'>,
  arm: Pick<Arm, 'recipe' | 'steps'>,
): { readonly train: number; readonly evaluate: number } {
  const cells = group.seeds.map(
    (seed) => times.cells.find((c) => c.recipe === arm.recipe && c.easyShare === group.easyShare && c.seed === seed)!,
  )
  return {
    train: mean(cells.map((c, s) => sum(c.trainSeconds.slice(0, arm.steps[s])))),
    evaluate: mean(cells.map((c) => c.evaluateSeconds)),
  }
}
