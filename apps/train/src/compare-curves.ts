/** Learning curves of a recipe over its seeds: training figures at every step, Pass@k at every validation, each with a band. Pure. Not here: drawing. */
import { type Band, type BootstrapOptions, bandKind, bandsOverSeeds, passAtK, type QuestionCounts } from '@axpo/eval'
import { figureNamed, type MainFigure, mainFigures, type TrainingFigure, trailing } from './compare-diagnostics.ts'
import { type Cell, rolloutsSpent } from './compare-read.ts'

/** Steps of the trailing mean that training curves are smoothed with, each seed for itself. */
export const smoothingSteps = 5

/** Diagnostics of long runs are kept at every so many steps: with the trailing mean no step is left out, and the result stays small. */
function diagnosticSteps(lastStep: number): number[] {
  const stride = lastStep > 10 * smoothingSteps ? smoothingSteps : 1
  const steps = Array.from({ length: lastStep }, (_, i) => i + 1)
  return steps.filter((step) => step === 1 || step === lastStep || step % stride === 0)
}

export interface Curve {
  /** From 1 in training, from 0 in validation. */
  readonly steps: readonly number[]
  /** Rollouts spent until then, mean over seeds. */
  readonly rollouts: readonly number[]
  readonly bands: readonly (Band | null)[]
}

export interface Curves {
  /** What the bands show; the number of seeds decides. */
  readonly bandKind: ReturnType<typeof bandKind>
  readonly training: Readonly<Record<MainFigure, Curve>>
  /** By the names of diagnosticNames. */
  readonly diagnostics: Readonly<Record<string, Curve>>
  readonly passAt1: Curve
  /** Null with fewer than 4 rollouts a question. */
  readonly passAt4: Curve | null
  /** Pass@1 by family. */
  readonly families: Readonly<Record<string, Curve>>
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

const byName = (names: readonly string[], curve: (figure: TrainingFigure) => Curve): Record<string, Curve> =>
  Object.fromEntries(names.map((name) => [name, curve(figureNamed(name))]))

/** Mean of Pass@k over questions; null with too few samples. */
export function meanPassAtK(counts: readonly QuestionCounts[], k: number): number | null {
  if (counts.length === 0 || counts.some((c) => c.samples < k)) return null
  return mean(counts.map((c) => passAtK(c.samples, c.correct, k)))
}

/** All validations of a cell, the start's first. */
export function validations(
  cell: Cell,
  start: Cell['evaluations'],
  lastStep: number,
): { readonly step: number; readonly counts: readonly QuestionCounts[] }[] {
  return [...start.get('validation')!, ...cell.evaluations.get('validation')!]
    .filter(([step]) => step <= lastStep)
    .map(([step, counts]) => ({ step, counts }))
    .sort((a, b) => a.step - b.step)
}

export function curvesOf(
  cells: readonly Cell[],
  start: Cell['evaluations'],
  lastStep: number,
  diagnostics: readonly string[],
  options: BootstrapOptions,
): Curves {
  const kind = bandKind(cells.length)
  const curve = (steps: readonly number[], values: (cell: Cell) => readonly (number | null)[]): Curve => {
    return {
      steps,
      rollouts: steps.map((step) => mean(cells.map((c) => rolloutsSpent(c.spent, step)))),
      bands: bandsOverSeeds(cells.map(values), kind, options),
    }
  }
  const training = (steps: readonly number[]) => (figure: TrainingFigure) =>
    curve(steps, (c) => {
      const means = trailing(c, figure, smoothingSteps)
      return steps.map((step) => means[step - 1] ?? null)
    })
  const everyStep = training(Array.from({ length: lastStep }, (_, i) => i + 1))
  const points = validations(cells[0]!, start, lastStep)
  const validation = (k: number, family: string | null) =>
    curve(
      points.map((p) => p.step),
      (cell) =>
        validations(cell, start, lastStep).map(({ counts }) =>
          meanPassAtK(family === null ? counts : counts.filter((c) => c.family === family), k),
        ),
    )
  const families = [...new Set(points[0]!.counts.map((c) => c.family))].sort()
  const enough = points[0]!.counts.every((c) => c.samples >= 4)
  return {
    bandKind: kind,
    training: byName(Object.keys(mainFigures), everyStep) as Curves['training'],
    diagnostics: byName(diagnostics, training(diagnosticSteps(lastStep))),
    passAt1: validation(1, null),
    passAt4: enough ? validation(4, null) : null,
    families: Object.fromEntries(families.map((f) => [f, validation(1, f)])),
  }
}
