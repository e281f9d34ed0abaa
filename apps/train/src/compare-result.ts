/**
 * The results of a comparison, from its cells: scores with intervals, differences with intervals and tests, costs, curves. Pure; the same cells give the
 * same result to the bit. No clocks: wall times stand beside it (compare-times.ts). Not here: statistics themselves (@axpo/eval), rendering.
 */
import { basename } from 'node:path'
import {
  type BootstrapOptions,
  type Estimate,
  hierarchicalBootstrap,
  hierarchicalRatio,
  interquartileOverRuns,
  meanArea,
  pairedDifference,
  passAtK,
  probabilityOfImprovement,
  type QuestionCounts,
  type RatioEstimate,
  type RunEstimate,
  type ScoresMSQ,
  signFlipTest,
} from '@axpo/eval'
import { type Curves, curvesOf, validations } from './compare-curves.ts'
import { diagnosticNames, type FirstAndLast, figureNamed, firstAndLast, mainFigures } from './compare-diagnostics.ts'
import { type Forks, forksOf } from './compare-forks.ts'
import type { ComparePlan, EvaluationName } from './compare-plan.ts'
import { type Cell, type Group, rolloutsSpent } from './compare-read.ts'

/** Mean over families (equal weights), and each family. */
export interface Score {
  readonly mean: Omit<Estimate, 'p'>
  readonly families: Readonly<Record<string, Omit<Estimate, 'p'>>>
  /** The mean, seed by seed. */
  readonly bySeed: readonly number[]
}

/** Tool figures of the test split, over all samples of all seeds; null where nothing was there to count. */
export interface ToolRates {
  readonly toolUse: RatioEstimate | null
  /** Share of questions with a tool-using rollout whose tool-using rollouts are all wrong. */
  readonly allWrong: RatioEstimate | null
  readonly rightWithTool: RatioEstimate | null
  readonly rightWithoutTool: RatioEstimate | null
  /** Right with a tool minus right without, each question for itself, over questions tried both ways: in [-1, 1]. Harder questions calling for more tools do not move it. */
  readonly gap: RatioEstimate | null
}

export interface Arm {
  readonly recipe: string
  /** Null: after the plan's steps. Otherwise the baseline after as many rollouts as this recipe spent. */
  readonly rolloutsOf: string | null
  /** By seed. */
  readonly steps: readonly number[]
  readonly rollouts: readonly number[]
  readonly tokens: readonly number[]
  readonly passAt1: Score
  /** Interquartile mean of Pass@1 over its runs, a score a family and seed. */
  readonly interquartile: RunEstimate
  /** Null with fewer than 4 samples a question. */
  readonly passAt4: Score | null
  readonly rates: ToolRates
  readonly ratesByFamily: Readonly<Record<string, ToolRates>>
  /** Pass@1 on the held-out family with the unseen tool; null where that was not evaluated. */
  readonly unseen: Score | null
}

export interface Effect extends Estimate {
  /** Exact two-sided sign-flip test over seeds. */
  readonly signFlipP: number
  readonly improvement: RunEstimate
  /** The difference, seed by seed. */
  readonly bySeed: readonly number[]
}

export type Metric = 'Pass@1' | 'Pass@4' | 'Pass@1, unseen tool' | 'area under Pass@1'

/** Recipe minus baseline, in [-1, 1]. */
export interface Comparison {
  readonly recipe: string
  readonly baseline: string
  readonly at: 'equal steps' | 'equal rollouts'
  readonly metric: Metric
  readonly mean: Effect
  readonly families: Readonly<Record<string, Effect>>
}

export interface GroupResult {
  readonly easyShare: number
  readonly seeds: readonly number[]
  /** Seeds of the plan that are not finished yet. */
  readonly unfinishedSeeds: readonly number[]
  readonly families: readonly string[]
  /** The SFT checkpoint on the test split. */
  readonly start: Arm
  readonly arms: readonly Arm[]
  /** Area under the validation Pass@1 curve over steps, divided by the steps. */
  readonly areas: Readonly<Record<string, Score>>
  readonly forks: Readonly<Record<string, Forks>>
  /** Beginning and end of training, by recipe and figure: mainFigures, then diagnosticNames. */
  readonly ends: Readonly<Record<string, Readonly<Record<string, FirstAndLast>>>>
  readonly comparisons: readonly Comparison[]
  readonly curves: Readonly<Record<string, Curves>>
}

export interface CompareResult {
  /** 2: tool rates and forks have intervals; curves of all diagnostics, beginning and end of training. */
  readonly formatVersion: 2
  readonly plan: Omit<ComparePlan, 'checkpoint' | 'formatVersion'>
  readonly statistics: BootstrapOptions
  /** Replicates behind each point of a band. */
  readonly bandReplicates: number
  readonly groups: readonly GroupResult[]
}

type Counts = readonly QuestionCounts[]

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const familiesOf = (counts: Counts): string[] => [...new Set(counts.map((c) => c.family))].sort()

/** scores[family][seed][question] of a figure of each question; every seed must have answered the same questions. */
function scoresOf(
  bySeed: readonly Counts[],
  value: (c: QuestionCounts, seed: number, index: number) => number,
): ScoresMSQ {
  const ids = (counts: Counts) => counts.map((c) => c.questionId).join()
  const first = ids(bySeed[0]!)
  if (bySeed.some((counts) => ids(counts) !== first))
    throw new Error(
      'compare: every seed must have answered the same questions, got others. Compare again from the start.',
    )
  return familiesOf(bySeed[0]!).map((family) =>
    bySeed.map((counts, s) => counts.flatMap((c, i) => (c.family === family ? [value(c, s, i)] : []))),
  )
}

const passScores = (bySeed: readonly Counts[], k: number): ScoresMSQ | null =>
  bySeed.some((counts) => counts.some((c) => c.samples < k))
    ? null
    : scoresOf(bySeed, (c) => passAtK(c.samples, c.correct, k))

/** Mean over families of the means over questions, by seed. */
const seedMeans = (scores: ScoresMSQ): number[] =>
  scores[0]!.map((_, s) => mean(scores.map((family) => mean(family[s]!))))

/** A score a family and seed. */
const runScores = (scores: ScoresMSQ): number[][] => scores.map((family) => family.map(mean))

const byFamily = <T>(families: readonly string[], values: readonly T[]): Record<string, T> =>
  Object.fromEntries(families.map((f, i) => [f, values[i]!]))

function scoreOf(scores: ScoresMSQ, families: readonly string[], options: BootstrapOptions): Score {
  const found = hierarchicalBootstrap(scores, options)
  const withoutP = ({ p: _, ...rest }: Estimate) => rest
  return {
    mean: withoutP(found.mean),
    families: byFamily(families, found.families.map(withoutP)),
    bySeed: seedMeans(scores),
  }
}

function compareScores(
  a: ScoresMSQ,
  b: ScoresMSQ,
  families: readonly string[],
  options: BootstrapOptions,
): Pick<Comparison, 'mean' | 'families'> {
  const difference = pairedDifference(a, b)
  const found = hierarchicalBootstrap(difference, options)
  const effect = (estimate: Estimate, bySeed: readonly number[], x: number[][], y: number[][]): Effect => ({
    ...estimate,
    signFlipP: signFlipTest(bySeed),
    improvement: probabilityOfImprovement(x, y, options),
    bySeed,
  })
  const [runsA, runsB] = [runScores(a), runScores(b)]
  return {
    mean: effect(found.mean, seedMeans(difference), runsA, runsB),
    families: byFamily(
      families,
      found.families.map((e, m) => effect(e, difference[m]!.map(mean), [runsA[m]!], [runsB[m]!])),
    ),
  }
}

const bothWays = (c: QuestionCounts): boolean => c.toolUsing > 0 && c.toolUsing < c.samples

/** What a rate counts of a question, of how much. */
const rateCounts: Readonly<
  Record<keyof ToolRates, readonly [(c: QuestionCounts) => number, (c: QuestionCounts) => number]>
> = {
  toolUse: [(c) => c.toolUsing, (c) => c.samples],
  allWrong: [(c) => Number(c.toolUsing > 0 && c.toolUsingCorrect === 0), (c) => Number(c.toolUsing > 0)],
  rightWithTool: [(c) => c.toolUsingCorrect, (c) => c.toolUsing],
  rightWithoutTool: [(c) => c.correct - c.toolUsingCorrect, (c) => c.samples - c.toolUsing],
  gap: [
    (c) =>
      bothWays(c) ? c.toolUsingCorrect / c.toolUsing - (c.correct - c.toolUsingCorrect) / (c.samples - c.toolUsing) : 0,
    (c) => Number(bothWays(c)),
  ],
}

function ratesOf(bySeed: readonly Counts[], options: BootstrapOptions): Pick<Arm, 'rates' | 'ratesByFamily'> {
  const found = Object.entries(rateCounts).map(([name, [above, below]]) => ({
    name,
    ratio: hierarchicalRatio(scoresOf(bySeed, above), scoresOf(bySeed, below), options),
  }))
  const rates = (of: (ratio: (typeof found)[number]['ratio']) => RatioEstimate | null) =>
    Object.fromEntries(found.map(({ name, ratio }) => [name, of(ratio)])) as unknown as ToolRates
  const families = familiesOf(bySeed[0]!)
  return {
    rates: rates((r) => r.all),
    ratesByFamily: byFamily(
      families,
      families.map((_, m) => rates((r) => r.families[m]!)),
    ),
  }
}

const at = (cell: Pick<Cell, 'evaluations'>, name: EvaluationName, step: number): Counts | undefined =>
  cell.evaluations.get(name)!.get(step)

interface ArmInput {
  readonly recipe: string
  readonly rolloutsOf: string | null
  readonly cells: readonly Pick<Cell, 'evaluations' | 'spent'>[]
  readonly steps: readonly number[]
}

function armOf({ recipe, rolloutsOf, cells, steps }: ArmInput, options: BootstrapOptions): Arm {
  const tests = cells.map((c, s) => at(c, 'test', steps[s]!)!)
  const unseen = cells.map((c, s) => at(c, 'unseen', steps[s]!) ?? [])
  const families = familiesOf(tests[0]!)
  const scores = passScores(tests, 1)!
  const passAt4 = passScores(tests, 4)
  return {
    recipe,
    rolloutsOf,
    steps,
    rollouts: cells.map((c, s) => rolloutsSpent(c.spent, steps[s]!)),
    tokens: cells.map((c, s) => c.spent.slice(0, steps[s]).reduce((n, x) => n + x.tokens, 0)),
    passAt1: scoreOf(scores, families, options),
    interquartile: interquartileOverRuns(runScores(scores), options),
    passAt4: passAt4 && scoreOf(passAt4, families, options),
    ...ratesOf(tests, options),
    unseen: unseen[0]!.length === 0 ? null : scoreOf(passScores(unseen, 1)!, familiesOf(unseen[0]!), options),
  }
}

/** Area under each question's own validation curve: the mean over questions is the area under the mean curve. */
function areaScores(cells: readonly Cell[], start: Cell['evaluations'], lastStep: number): ScoresMSQ {
  const curves = cells.map((c) => validations(c, start, lastStep))
  const last = curves.map((points) => points.at(-1)!.counts)
  return scoresOf(last, (_, s, i) =>
    meanArea(
      curves[s]!.map((p) => p.step),
      curves[s]!.map((p) => passAtK(p.counts[i]!.samples, p.counts[i]!.correct, 1)),
    ),
  )
}

function metricScores(input: ArmInput): [Metric, ScoresMSQ | null, string[]][] {
  const tests = input.cells.map((c, s) => at(c, 'test', input.steps[s]!)!)
  const unseen = input.cells.map((c, s) => at(c, 'unseen', input.steps[s]!) ?? [])
  return [
    ['Pass@1', passScores(tests, 1), familiesOf(tests[0]!)],
    ['Pass@4', passScores(tests, 4), familiesOf(tests[0]!)],
    ['Pass@1, unseen tool', unseen[0]!.length === 0 ? null : passScores(unseen, 1), familiesOf(unseen[0]!)],
  ]
}

function comparisonsOf(plan: ComparePlan, group: Group, options: BootstrapOptions): Comparison[] {
  const { baseline, steps } = plan
  const cellsOf = (recipe: string) => group.cells.get(recipe)!
  const same = group.seeds.map(() => steps)
  const arm = (recipe: string, armSteps: readonly number[] = same): ArmInput => ({
    recipe,
    rolloutsOf: null,
    cells: cellsOf(recipe),
    steps: armSteps,
  })
  const found: Comparison[] = []
  for (const recipe of plan.recipes.filter((r) => r !== baseline)) {
    const equal = group.equalSteps.get(recipe)
    const sides = [
      ['equal steps', arm(baseline)] as const,
      ...(equal ? [['equal rollouts', arm(baseline, equal)] as const] : []),
    ]
    for (const [at, other] of sides)
      for (const [i, [metric, a, families]] of metricScores(arm(recipe)).entries()) {
        const b = metricScores(other)[i]![1]
        if (a && b) found.push({ recipe, baseline, at, metric, ...compareScores(a, b, families, options) })
      }
    const [a, b] = [recipe, baseline].map((r) => areaScores(cellsOf(r), group.start, steps))
    const families = familiesOf(group.start.get('validation')!.get(0)!)
    const metric: Metric = 'area under Pass@1'
    found.push({ recipe, baseline, at: 'equal steps', metric, ...compareScores(a!, b!, families, options) })
  }
  return found
}

function groupResult(plan: ComparePlan, group: Group, options: BootstrapOptions): GroupResult {
  const { baseline, recipes, steps } = plan
  const startCell = { evaluations: group.start, spent: [] }
  const families = familiesOf(group.start.get('test')!.get(0)!)
  const validationFamilies = familiesOf(group.start.get('validation')!.get(0)!)
  const diagnostics = diagnosticNames([...group.cells.values()].flat())
  const equal = recipes.flatMap((recipe) => {
    const equalSteps = group.equalSteps.get(recipe)
    return equalSteps
      ? [armOf({ recipe: baseline, rolloutsOf: recipe, cells: group.cells.get(baseline)!, steps: equalSteps }, options)]
      : []
  })
  const own = recipes.map((recipe) =>
    armOf({ recipe, rolloutsOf: null, cells: group.cells.get(recipe)!, steps: group.seeds.map(() => steps) }, options),
  )
  return {
    easyShare: group.easyShare,
    seeds: group.seeds,
    unfinishedSeeds: plan.seeds.filter((s) => !group.seeds.includes(s)),
    families,
    start: armOf({ recipe: 'SFT', rolloutsOf: null, cells: [startCell], steps: [0] }, options),
    arms: [...own, ...equal],
    areas: Object.fromEntries(
      recipes.map((r) => [
        r,
        scoreOf(areaScores(group.cells.get(r)!, group.start, steps), validationFamilies, options),
      ]),
    ),
    forks: Object.fromEntries(recipes.map((r) => [r, forksOf(group.cells.get(r)!, steps, options)])),
    ends: Object.fromEntries(
      recipes.map((r) => [
        r,
        Object.fromEntries(
          [...Object.keys(mainFigures), ...diagnostics].map((name) => [
            name,
            firstAndLast(group.cells.get(r)!, figureNamed(name), steps),
          ]),
        ),
      ]),
    ),
    comparisons: comparisonsOf(plan, group, options),
    curves: Object.fromEntries(
      recipes.map((r) => [r, curvesOf(group.cells.get(r)!, group.start, steps, diagnostics, bandOptions(options))]),
    ),
  }
}

/** Bands have a point a step and figure: fewer replicates are drawn for each. */
const mostBandReplicates = 2000

function bandOptions(options: BootstrapOptions): BootstrapOptions {
  return { ...options, replicates: Math.min(mostBandReplicates, options.replicates) }
}

export function compareResult(plan: ComparePlan, groups: readonly Group[], options: BootstrapOptions): CompareResult {
  // results travel: no path of this machine
  const { checkpoint: _, formatVersion: __, tasks, tools, ...rest } = plan
  const shown = {
    ...rest,
    ...(tasks === undefined ? {} : { tasks: basename(tasks) }),
    ...(tools === undefined ? {} : { tools: basename(tools) }),
  }
  return {
    formatVersion: 2,
    plan: shown,
    statistics: options,
    bandReplicates: bandOptions(options).replicates,
    groups: groups.map((g) => groupResult(plan, g, options)),
  }
}
