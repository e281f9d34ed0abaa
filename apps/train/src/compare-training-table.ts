/** The tables of a comparison that are about training itself: forks, and the diagnostics at its beginning and end. Not here: scores (compare-table.ts). */
import { endShare, type FirstAndLast, figureNamed, type WindowMean } from './compare-diagnostics.ts'
import type { Forks, OverSeeds } from './compare-forks.ts'
import { percent, replicateCount, seedCount } from './compare-format.ts'
import type { CompareResult, GroupResult } from './compare-result.ts'
import type { Table } from './compare-table.ts'

const number = (v: number | null): string => (v === null ? '-' : v.toFixed(2))

export function forkTable({ statistics }: CompareResult, group: GroupResult): Table {
  const all = group.seeds.length
  const band = (e: OverSeeds | null, write: (v: number) => string) =>
    e === null ? '-' : `${write(e.mean)} [${write(e.low)}, ${write(e.high)}]${e.seeds < all ? ` (${e.seeds})` : ''}`
  const from = ({ bandKind }: Forks) => {
    const seeds = seedCount(all)
    return bandKind === 'interval'
      ? `${seeds}, ${replicateCount(statistics.replicates)}`
      : `lowest and highest of ${seeds}`
  }
  return {
    title: 'Forks in training',
    head: [
      'recipe',
      'prefixes a step',
      'recovered',
      'distinct calls',
      'Pearson',
      'Spearman',
      'calls',
      'intervals from',
    ],
    rows: Object.entries(group.forks).map(([recipe, f]) => [
      recipe,
      number(f.prefixes),
      band(f.recovered, percent),
      f.distinctCalls === null ? '-' : `${band(f.distinctCalls, number)} of K = ${Number(f.continuations!.toFixed(1))}`,
      band(f.pearson, number),
      band(f.spearman, number),
      f.pearson === null ? '-' : f.pearson.count.toLocaleString('en-US'),
      from(f),
    ]),
    note: [
      'Over all steps and seeds; in round brackets the seeds that had anything to count, where some did not.',
      'Recovered: percent of resampled prefixes with a right continuation, recovered over selected.',
      'Distinct calls: among the K continuations of a prefix that made a call; more continuations find more, and the 2.9 to 3.4 of the paper (arXiv 2605.28774) are of 16.',
      "Pearson, Spearman: of the mean probability of a call's tokens with their exact entropy, within a step, over the first calls of all its tool-using rollouts, resampled or not; steps are averaged with their number of calls as weight, and `calls` is how many there were in all.",
      "The paper's 0.843 and 0.835 are of its own model, and the notes on it do not say over which calls.",
      group.forks[Object.keys(group.forks)[0]!]!.bandKind === 'interval'
        ? `Intervals: a bootstrap over seeds (${100 * statistics.level} %, bootstrap seed ${statistics.seed}).`
        : 'In square brackets: the lowest and the highest seed; they are too few for an interval.',
    ].join(' '),
  }
}

/** A recipe a column; each figure at the beginning and at the end. */
export function diagnosticsTable(_: CompareResult, group: GroupResult): Table {
  const recipes = Object.keys(group.ends)
  const seeds = group.seeds.length
  const windowMean = ({ mean, seeds: measured }: WindowMean, rate: boolean) => {
    if (mean === null) return '-'
    const shown = rate ? percent(mean) : String(Number(mean.toPrecision(3)))
    return measured < seeds ? `${shown} (${measured})` : shown
  }
  const cell = ({ first, last }: FirstAndLast, rate: boolean) =>
    first.mean === null && last.mean === null ? '-' : `${windowMean(first, rate)} → ${windowMean(last, rate)}`
  return {
    title: 'Diagnostics along training',
    head: ['figure', 'unit', ...recipes, 'seeds'],
    rows: Object.keys(group.ends[recipes[0]!]!).map((name) => {
      const { title, unit, rate = false } = figureNamed(name)
      const own = recipes.map((r) => cell(group.ends[r]![name]!, rate))
      return [title, rate ? `%, ${unit}` : unit, ...own, String(seeds)]
    }),
    note: `Mean of the first ${100 * endShare} % of the steps → mean of the last ${100 * endShare} %; each seed for itself, then over seeds. In brackets: the seeds that measured it, where some did not. -: nothing was there to measure, or the recipe does not measure it. ${figuresNote}`,
  }
}

/** What must be known to read the figures of clips and of distinct calls. */
export const figuresNote =
  'With one update a step the ratio is 1 and no clip acts: the clip fraction is 0 then. Distinct calls are of K continuations of a prefix (4, unless the recipe says otherwise); the 2.9 to 3.4 of the paper are of 16.'
