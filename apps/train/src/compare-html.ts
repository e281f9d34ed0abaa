/** compare.html: the tables of compare.md and the figures, in one file without scripts or network. Not here: how figures are drawn (compare-figure.ts). */
import { escapeHtml } from './chart.ts'
import { type Curve, smoothingSteps, type TrainingFigure } from './compare-curves.ts'
import {
  type BandSeries,
  bandFigure,
  type FigureOptions,
  type IntervalRow,
  intervalFigure,
  type Style,
  styleOf,
} from './compare-figure.ts'
import type { CompareResult, GroupResult } from './compare-result.ts'
import { armName, groupTitle, mapTable, restsOn, settingsLine, type Table, tablesOf } from './compare-table.ts'
import type { CompareTimes } from './compare-times.ts'

type Styles = ReadonlyMap<string, Style>

const rates: readonly [number, number] = [0, 1]

function series(curve: Curve, label: string, style: Style, along: 'steps' | 'rollouts', marks: boolean): BandSeries {
  const points = curve.bands.map((band, i) => band && { x: curve[along][i]!, ...band })
  return { label, style, points, marks }
}

const trainingCharts: readonly (readonly [TrainingFigure, string, string, (readonly [number, number])?])[] = [
  ['toolUse', 'Tool use in training', 'rollouts with a tool call', rates],
  ['allWrong', 'All-wrong tool subgroups in training', 'share of tool subgroups', rates],
  ['recovery', 'Recovered prefixes in training', 'share of resampled prefixes', rates],
  ['distinctCalls', 'Distinct calls a resampled prefix', 'calls'],
  ['advantageOnCalls', 'Mean advantage on tool-call tokens', 'advantage'],
  ['entropyActNats', 'Entropy of tool calls', 'nats a token'],
]

function curveFigures(result: CompareResult, group: GroupResult, styles: Styles): string {
  const recipes = result.plan.recipes
  const figure = (
    pick: (recipe: string) => Curve | null,
    options: FigureOptions,
    along: 'steps' | 'rollouts',
    marks: boolean,
  ) => {
    const drawn = recipes.flatMap((r) => {
      const curve = pick(r)
      return curve?.bands.some((b) => b !== null) ? [series(curve, r, styles.get(r)!, along, marks)] : []
    })
    return drawn.length === 0 ? '' : bandFigure(drawn, options)
  }
  const curves = (r: string) => group.curves[r]!
  const axis = { steps: 'optimiser steps', rollouts: 'rollouts spent (mean over seeds)' } as const
  const passes = (['steps', 'rollouts'] as const).flatMap((along) => [
    figure(
      (r) => curves(r).passAt1,
      { title: `Pass@1, validation, by ${along}`, xLabel: axis[along], yLabel: 'Pass@1' },
      along,
      true,
    ),
    figure(
      (r) => curves(r).passAt4,
      { title: `Pass@4, validation, by ${along}`, xLabel: axis[along], yLabel: 'Pass@4' },
      along,
      true,
    ),
  ])
  const families = Object.keys(curves(recipes[0]!).families).map((family) =>
    figure(
      (r) => curves(r).families[family]!,
      { title: `Pass@1, validation: ${family}`, xLabel: axis.steps, yLabel: 'Pass@1' },
      'steps',
      true,
    ),
  )
  const training = trainingCharts.map(([key, title, yLabel, yRange]) =>
    figure(
      (r) => curves(r).training[key],
      { title, xLabel: axis.steps, yLabel, ...(yRange ? { yRange } : {}) },
      'steps',
      false,
    ),
  )
  const { bandKind } = curves(recipes[0]!)
  const { level } = result.statistics
  const { bandReplicates } = result
  const band =
    bandKind === 'interval'
      ? `${100 * level} % bootstrap interval of the mean over ${group.seeds.length} seeds (${bandReplicates.toLocaleString('en-US')} replicates)`
      : `lowest and highest of ${group.seeds.length} ${group.seeds.length === 1 ? 'seed' : 'seeds'} (too few for an interval)`
  return (
    `<div class="charts">${[...passes, ...training, ...families].join('\n')}</div>` +
    `<p class="note">Lines: mean over seeds. Bands: ${band}, point by point. Training curves are trailing means over ${smoothingSteps} steps of each seed.</p>`
  )
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
  const rows = found.flatMap((c): IntervalRow[] =>
    Object.entries({ mean: c.mean, ...c.families }).map(([label, e], i) => ({
      label,
      style: styles.get(c.recipe)!,
      ...e,
      dots: e.bySeed,
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
    toolUse === null ? null : { mean: toolUse, low: toolUse, high: toolUse }
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

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:1120px;margin:2em auto;padding:0 1em;color:#222}h2{margin-top:2em;border-bottom:2px solid #ddd}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left;font-weight:600}
.charts{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}.wide{overflow-x:auto}.note{color:#666;font-size:13px;max-width:900px}svg{max-width:100%;height:auto}`

function groupHtml(result: CompareResult, group: GroupResult, times: CompareTimes, styles: Styles): string {
  return `<h2>${escapeHtml(groupTitle(result, group))}</h2>
<div class="charts">${scoreFigure(group, 'passAt1', styles)}${scoreFigure(group, 'passAt4', styles)}${differenceFigure(group, styles)}</div>
<p class="note">Intervals from ${escapeHtml(restsOn(group.arms[0]!.passAt1.mean))}; grey: the checkpoint before training, one set of weights.</p>
${curveFigures(result, group, styles)}
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
