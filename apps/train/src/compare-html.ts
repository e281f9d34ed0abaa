/** compare.html: the tables of compare.md and the figures, in one file without scripts or network. Not here: how figures are drawn (compare-figure.ts). */
import { escapeHtml } from './chart.ts'
import { type Curve, smoothingSteps } from './compare-curves.ts'
import { figureNamed, type MainFigure, mainFigures } from './compare-diagnostics.ts'
import {
  type BandSeries,
  bandFigure,
  type FigureOptions,
  type IntervalRow,
  intervalFigure,
  legend,
  type Style,
  styleOf,
} from './compare-figure.ts'
import { replicateCount, restsOn, seedCount } from './compare-format.ts'
import type { CompareResult, Effect, GroupResult } from './compare-result.ts'
import { armName, groupTitle, mapTable, settingsLine, type Table, tablesOf } from './compare-table.ts'
import type { CompareTimes } from './compare-times.ts'
import { figuresNote } from './compare-training-table.ts'

type Styles = ReadonlyMap<string, Style>

const rates: readonly [number, number] = [0, 1]

/** With more recipes than these, bands cover each other: only some recipes have theirs. */
const mostBands = 6
/** Of those with the highest Pass@1. */
const bestDrawn = 3

/** Recipes whose lines are drawn bold, with their bands: all where they are few, else the baseline, axpo and the best at the end. */
function boldRecipes({ plan }: CompareResult, group: GroupResult): ReadonlySet<string> {
  if (plan.recipes.length <= mostBands) return new Set(plan.recipes)
  const best = group.arms
    .filter((a) => a.rolloutsOf === null)
    .toSorted((a, b) => b.passAt1.mean.estimate - a.passAt1.mean.estimate)
    .slice(0, bestDrawn)
  return new Set([plan.baseline, ...plan.recipes.filter((r) => r === 'axpo'), ...best.map((a) => a.recipe)])
}

const axis = { steps: 'optimiser steps', rollouts: 'rollouts spent (mean over seeds)' } as const

/** Draws a curve of every recipe that has it; empty where none has. */
function curveFigure(result: CompareResult, group: GroupResult, styles: Styles) {
  const bold = boldRecipes(result, group)
  return (
    pick: (curves: GroupResult['curves'][string]) => Curve | null,
    options: Omit<FigureOptions, 'xLabel'>,
    along: 'steps' | 'rollouts',
    marks: boolean,
  ): string => {
    const drawn = result.plan.recipes.flatMap((recipe): BandSeries[] => {
      const curve = pick(group.curves[recipe]!)
      if (!curve?.bands.some((b) => b !== null)) return []
      const points = curve.bands.map((band, i) => band && { x: curve[along][i]!, ...band })
      return [{ label: recipe, style: styles.get(recipe)!, points, marks, faint: !bold.has(recipe) }]
    })
    return drawn.length === 0 ? '' : bandFigure(drawn, { ...options, xLabel: axis[along] })
  }
}

/** Lines and bands: what they are, and which are left thin. */
function curveNote(result: CompareResult, group: GroupResult): string {
  const { bandKind } = group.curves[result.plan.recipes[0]!]!
  const band =
    bandKind === 'interval'
      ? `${100 * result.statistics.level} % bootstrap interval of the mean over ${seedCount(group.seeds.length)} (${replicateCount(result.bandReplicates)})`
      : `lowest and highest of ${seedCount(group.seeds.length)} (too few for an interval)`
  const bold = boldRecipes(result, group)
  const thin =
    bold.size < result.plan.recipes.length
      ? ` Bold and with a band: the baseline, axpo and the ${bestDrawn} with the highest Pass@1 at the end (${[...bold].join(', ')}); the others are thin. A line under the pointer tells its name.`
      : ''
  return `Lines: mean over seeds. Bands: ${band}, point by point. Training curves are trailing means over ${smoothingSteps} steps of each seed.${thin}`
}

function curveFigures(result: CompareResult, group: GroupResult, styles: Styles): string {
  const figure = curveFigure(result, group, styles)
  const passes = (['steps', 'rollouts'] as const).flatMap((along) => [
    figure((c) => c.passAt1, { title: `Pass@1, validation, by ${along}`, yLabel: 'Pass@1' }, along, true),
    figure((c) => c.passAt4, { title: `Pass@4, validation, by ${along}`, yLabel: 'Pass@4' }, along, true),
  ])
  const families = Object.keys(group.curves[result.plan.recipes[0]!]!.families).map((family) =>
    figure((c) => c.families[family]!, { title: `Pass@1, validation: ${family}`, yLabel: 'Pass@1' }, 'steps', true),
  )
  const training = (Object.keys(mainFigures) as MainFigure[]).map((name) => {
    const { title, unit, rate } = figureNamed(name)
    const options = { title, yLabel: unit, ...(rate ? { yRange: rates } : {}) }
    return figure((c) => c.training[name], options, 'steps', false)
  })
  return `<div class="charts">${[...passes, ...training, ...families].join('\n')}</div><p class="note">${escapeHtml(curveNote(result, group))}</p>`
}

const small = { width: 352, height: 190, names: false } as const

/** Small multiples: one of each diagnostic, names in one legend above. */
function diagnosticFigures(result: CompareResult, group: GroupResult, styles: Styles): string {
  const figure = curveFigure(result, group, styles)
  const bold = boldRecipes(result, group)
  const recipes = result.plan.recipes
  const figures = Object.keys(group.curves[recipes[0]!]!.diagnostics).map((name) => {
    const { title, unit, rate } = figureNamed(name)
    const options = { title, yLabel: unit, ...(rate ? { yRange: rates } : {}), ...small }
    return figure((c) => c.diagnostics[name]!, options, 'steps', false)
  })
  return `<h3>Diagnostics along training</h3>
${legend(recipes.map((r) => ({ label: r, style: styles.get(r)!, faint: !bold.has(r) })))}
<div class="charts">${figures.join('\n')}</div>
<p class="note">Lines and bands as above. A recipe without a line in a figure had nothing to measure there, or does not measure it; so had all where a figure is missing. ${escapeHtml(figuresNote)}</p>`
}

function scoreFigure(group: GroupResult, metric: 'passAt1' | 'passAt4', styles: Styles): string {
  const rows = [group.start, ...group.arms].flatMap((arm): IntervalRow[] => {
    const score = arm[metric]
    if (!score) return []
    const style = styles.get(arm.recipe) ?? { color: '#777777', dash: '' }
    const dots = arm === group.start ? [] : score.bySeed
    return [{ label: armName(arm), style, ...score.mean, dots }]
  })
  if (rows.length === 0) return ''
  const name = metric === 'passAt1' ? 'Pass@1' : 'Pass@4'
  return intervalFigure(rows, { title: `${name} on the test split`, xLabel: `${name} (small dots: seeds)` })
}

function differenceFigure(group: GroupResult, styles: Styles): string {
  const found = group.comparisons.filter((c) => c.metric === 'Pass@1')
  if (found.length === 0) return ''
  const of = (c: (typeof found)[number], label: string, e: Effect): IntervalRow => ({
    label,
    style: styles.get(c.recipe)!,
    ...e,
    dots: e.bySeed,
  })
  // the families of many recipes stand in the tables
  const short = new Set(found.map((c) => c.recipe)).size >= mostBands
  const rows = short
    ? found
        .toSorted((a, b) => a.at.length - b.at.length)
        .map(
          (c, i, all): IntervalRow => ({
            ...of(c, c.recipe, c.mean),
            ...(c.at === all[i - 1]?.at ? {} : { heading: `minus ${c.baseline}, ${c.at}, mean over families` }),
          }),
        )
    : found.flatMap((c) =>
        Object.entries({ mean: c.mean, ...c.families }).map(([label, e], i) => ({
          ...of(c, label, e),
          ...(i === 0 ? { heading: `${c.recipe} - ${c.baseline}, ${c.at}` } : {}),
        })),
      )
  const title = `Difference of Pass@1 to ${found[0]!.baseline}`
  return intervalFigure(rows, { title, xLabel: 'difference of Pass@1 (small dots: seeds)', mark: 0 })
}

/** Final scores over s, one line a recipe. */
function mapFigures(result: CompareResult, styles: Styles): string {
  if (result.groups.length < 2) return ''
  const groups = result.groups.toSorted((a, b) => a.easyShare - b.easyShare)
  const line = (
    name: string,
    style: Style,
    point: (g: GroupResult) => { mean: number; low: number; high: number } | null,
  ): BandSeries => ({
    label: name,
    style,
    marks: true,
    points: groups.map((g) => {
      const found = point(g)
      return found && { x: g.easyShare, ...found }
    }),
  })
  const sft: Style = { color: '#777777', dash: '4 3' }
  const armOf = (g: GroupResult, recipe: string) => g.arms.find((a) => a.recipe === recipe && a.rolloutsOf === null)!
  const pass = ({ passAt1: { mean } }: GroupResult['start']) => ({
    mean: mean.estimate,
    low: mean.low,
    high: mean.high,
  })
  const use = ({ rates: { toolUse } }: GroupResult['start']) =>
    toolUse && { mean: toolUse.estimate, low: toolUse.low, high: toolUse.high }
  const lines = (value: (arm: GroupResult['start']) => { mean: number; low: number; high: number } | null) => [
    line('SFT', sft, (g) => value(g.start)),
    ...result.plan.recipes.map((r) => line(r, styles.get(r)!, (g) => value(armOf(g, r)))),
  ]
  const xLabel = 's, share of items that need no tool'
  return `<div class="charts">${bandFigure(lines(pass), { title: 'Pass@1 on the test split over s', xLabel, yLabel: 'Pass@1' })}
${bandFigure(lines(use), { title: 'Tool use on the test split over s', xLabel, yLabel: 'rollouts with a tool call', yRange: rates })}</div>`
}

function tableHtml(table: Table): string {
  const row = (tag: 'th' | 'td', cells: readonly string[]) =>
    `<tr>${cells.map((c) => `<${tag}>${escapeHtml(c)}</${tag}>`).join('')}</tr>`
  return `<h3>${escapeHtml(table.title)}</h3><div class="wide"><table>${row('th', table.head)}${table.rows.map((r) => row('td', r)).join('')}</table></div><p class="note">${escapeHtml(table.note)}</p>`
}

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}h2{margin-top:2em;border-bottom:2px solid #ddd}
table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums}td,th{padding:3px 6px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left;font-weight:600}
.charts{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}.wide{overflow-x:auto}.note{color:#666;font-size:13px;max-width:900px}.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;margin:.4em 0}.legend svg{vertical-align:middle}.charts svg{max-width:100%;height:auto}`

function groupHtml(result: CompareResult, group: GroupResult, times: CompareTimes, styles: Styles): string {
  return `<h2>${escapeHtml(groupTitle(result, group))}</h2>
<div class="charts">${scoreFigure(group, 'passAt1', styles)}${scoreFigure(group, 'passAt4', styles)}${differenceFigure(group, styles)}</div>
<p class="note">Intervals from ${escapeHtml(restsOn(group.arms[0]!.passAt1.mean))}; grey: the checkpoint before training, one set of weights.</p>
${curveFigures(result, group, styles)}
${diagnosticFigures(result, group, styles)}
${tablesOf(result, group, times).map(tableHtml).join('\n')}`
}

export function compareHtml(result: CompareResult, times: CompareTimes): string {
  const styles: Styles = new Map(result.plan.recipes.map((r, i) => [r, styleOf(i)]))
  const map = mapTable(result)
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>AXPO comparison: ${escapeHtml(result.plan.recipes.join(', '))}</title><style>${style}</style>
<h1>Comparison: ${escapeHtml(result.plan.recipes.join(', '))}</h1>
<p>${escapeHtml(settingsLine(result))}</p>
${map ? `${mapFigures(result, styles)}${tableHtml(map)}` : ''}
${result.groups.map((g) => groupHtml(result, g, times, styles)).join('\n')}
</html>
`
}
