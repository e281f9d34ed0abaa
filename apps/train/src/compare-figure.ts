/**
 * Figures of a comparison as self-contained SVG strings: curves with bands and names at the line ends, and estimates with intervals, one row each.
 * Not here: what is drawn (compare-html.ts). Lengths in CSS pixels.
 */
import { escapeHtml, niceTicks, seriesColors } from './chart.ts'

export interface Style {
  readonly color: string
  /** SVG stroke-dasharray; empty: solid. */
  readonly dash: string
}

/** Okabe-Ito and black; the yellow of the palette is too light on white. */
const colors = [...seriesColors, '#222222'] as const
const dashes = ['', '7 3', '2 2'] as const

/** Told apart by colour, then by dashes: 21 recipes. */
export function styleOf(index: number): Style {
  return {
    color: colors[index % colors.length]!,
    dash: dashes[Math.floor(index / colors.length) % dashes.length]!,
  }
}

export interface BandPoint {
  readonly x: number
  readonly mean: number
  readonly low: number
  readonly high: number
}

export interface BandSeries {
  readonly label: string
  readonly style: Style
  /** Null: nothing was measured there, the line has a gap. */
  readonly points: readonly (BandPoint | null)[]
  /** Points are marked where they are few. */
  readonly marks: boolean
  /** A thin line without its band, where many would cover each other. */
  readonly faint?: boolean
}

export interface FigureOptions {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly yRange?: readonly [number, number]
  readonly width?: number
  readonly height?: number
  /** Names at the line ends; false where a legend stands elsewhere. Default true. */
  readonly names?: boolean
}

const fontSize = 11
/** Width of a bold character of a wide system font at the font size. */
const characterWidth = 7.4
const lineHeight = 13
/** Of a mark on a line. */
const markRadius = 2.5

const n = (value: number): string => String(Number(value.toFixed(1)))

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${n(x)}" y="${n(y)}"${attributes ? ` ${attributes}` : ''}>${escapeHtml(content)}</text>`
}

function svg(width: number, height: number, title: string, body: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(title)}" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}" font-family="system-ui,sans-serif" font-size="${fontSize}" fill="#333">` +
    `<rect width="${n(width)}" height="${n(height)}" fill="#fff"/>${body.join('')}</svg>`
  )
}

/** Range of values; a single one gets half of `width` on each side, and `room` is left at both ends, a fraction of the range. */
function extent(values: readonly number[], width: number, room = 0): [number, number] {
  if (values.length === 0) return [0, 1]
  const low = Math.min(...values)
  const high = Math.max(...values)
  if (low === high) return [low - width / 2, high + width / 2]
  return [low - room * (high - low), high + room * (high - low)]
}

/** Of an axis of values: what is never negative has no room below 0. */
function heights(values: readonly number[]): [number, number] {
  const [low, high] = extent(values, 0.1, 0.06)
  return [values.some((v) => v < 0) ? low : Math.max(0, low), high]
}

/** Label heights that keep `lineHeight` between neighbours, as near to the wanted ones as one sweep each way allows. */
export function spreadLabels(wanted: readonly number[], low: number, high: number): number[] {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y)
  for (let k = 1; k < order.length; k++) order[k]!.y = Math.max(order[k]!.y, order[k - 1]!.y + lineHeight)
  let limit = high
  for (const o of order.toReversed()) {
    o.y = Math.min(o.y, limit)
    limit = o.y - lineHeight
  }
  const shift = Math.max(0, low - (order[0]?.y ?? low))
  const placed = new Array<number>(wanted.length)
  for (const { y, i } of order) placed[i] = y + shift
  return placed
}

interface Plot {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
  readonly px: (x: number) => number
  readonly py: (y: number) => number
}

/** Unbroken runs of measured points. */
function runsOf(points: readonly (BandPoint | null)[]): BandPoint[][] {
  const runs: BandPoint[][] = [[]]
  for (const p of points) {
    if (p) runs.at(-1)!.push(p)
    else if (runs.at(-1)!.length > 0) runs.push([])
  }
  return runs.filter((r) => r.length > 0)
}

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${n(x)} ${n(y)}`).join('')

function drawSeries(
  { label, style, points, marks, faint }: BandSeries,
  { px, py }: Plot,
): { band: string; line: string } {
  const dash = style.dash ? ` stroke-dasharray="${style.dash}"` : ''
  const runs = runsOf(points)
  const band = runs.map((run) => {
    const upper = run.map((p) => [px(p.x), py(p.high)] as const)
    const lower = run.toReversed().map((p) => [px(p.x), py(p.low)] as const)
    return faint || run.length < 2
      ? ''
      : `<path d="${path([...upper, ...lower])}Z" fill="${style.color}" fill-opacity=".13"/>`
  })
  const line = runs.map((run) => {
    const dots = (marks ? run : run.length === 1 ? run : [])
      .map((p) => `<circle cx="${n(px(p.x))}" cy="${n(py(p.mean))}" r="${markRadius}" fill="${style.color}"/>`)
      .join('')
    const d = path(run.map((p) => [px(p.x), py(p.mean)]))
    return `<path d="${d}" fill="none" stroke="${style.color}" stroke-width="${faint ? 1 : 2}" stroke-linejoin="round"${dash}/>${dots}`
  })
  // the name shows where the pointer rests on the line
  return { band: band.join(''), line: `<g><title>${escapeHtml(label)}</title>${line.join('')}</g>` }
}

/** Grid lines and numbers of both axes, their names, the title. */
function axes(
  options: FigureOptions,
  plot: Plot,
  x: readonly [number, number],
  y: readonly [number, number],
): string[] {
  const { left, right, top, bottom, px, py } = plot
  const middle = (top + bottom) / 2
  return [
    text(left, 16, options.title, 'font-size="13" font-weight="600"'),
    ...niceTicks(...y).map(
      (t) =>
        `<line x1="${n(left)}" x2="${n(right)}" y1="${n(py(t))}" y2="${n(py(t))}" stroke="#e3e3e3"/>` +
        text(left - 6, py(t) + 4, String(t), 'text-anchor="end"'),
    ),
    ...niceTicks(...x).map(
      (t) =>
        `<line x1="${n(px(t))}" x2="${n(px(t))}" y1="${n(bottom)}" y2="${n(bottom + 4)}" stroke="#999"/>` +
        text(px(t), bottom + 16, t.toLocaleString('en-US'), 'text-anchor="middle"'),
    ),
    `<line x1="${n(left)}" x2="${n(right)}" y1="${n(bottom)}" y2="${n(bottom)}" stroke="#999"/>`,
    text((left + right) / 2, bottom + 33, options.xLabel, 'text-anchor="middle"'),
    text(14, middle, options.yLabel, `text-anchor="middle" transform="rotate(-90 14 ${n(middle)})"`),
  ]
}

/** Names at the line ends, joined to them where they had to be moved. */
function endLabels(series: readonly BandSeries[], { px, py, right, top, bottom }: Plot): string[] {
  const ends = series.flatMap((s) => {
    const last = s.points.findLast((p) => p !== null)
    return last ? [{ s, x: px(last.x), y: py(last.mean) }] : []
  })
  const placed = spreadLabels(
    ends.map((e) => e.y),
    top,
    bottom,
  )
  return ends.map(({ s, x, y }, i) => {
    const leader = `<path d="M${n(x + 3)} ${n(y)}L${n(right + 14)} ${n(placed[i]!)}" stroke="${s.style.color}" stroke-width=".7" fill="none" opacity=".7"/>`
    return `${leader}${text(right + 17, placed[i]! + 4, s.label, `fill="${s.style.color}"${s.faint ? '' : ' font-weight="600"'}`)}`
  })
}

/** A line's colour and dashes beside its name, as HTML. */
export function legend(series: readonly Pick<BandSeries, 'label' | 'style' | 'faint'>[]): string {
  const item = ({ label, style: { color, dash }, faint }: Pick<BandSeries, 'label' | 'style' | 'faint'>) =>
    `<span style="color:${color}${faint ? '' : ';font-weight:600'}"><svg aria-hidden="true" width="28" height="10"><line x1="0" x2="26" y1="5" y2="5" stroke="${color}" stroke-width="${faint ? 1 : 2}"${dash ? ` stroke-dasharray="${dash}"` : ''}/></svg> ${escapeHtml(label)}</span>`
  return `<p class="legend">${series.map(item).join(' ')}</p>`
}

export function bandFigure(series: readonly BandSeries[], options: FigureOptions): string {
  const width = options.width ?? 540
  const names = options.names ?? true
  const height = Math.max(options.height ?? 280, names ? 74 + lineHeight * series.length : 0)
  const labelWidth = names ? Math.max(0, ...series.map((s) => s.label.length)) * characterWidth + 22 : 12
  const edge = { left: 56, right: width - labelWidth, top: 30, bottom: height - 42 }
  const points = series.flatMap((s) => s.points.filter((p): p is BandPoint => p !== null))
  const x = extent(
    points.map((p) => p.x),
    1,
  )
  const y = options.yRange ?? heights(points.flatMap((p) => [p.low, p.high]))
  const plot: Plot = {
    ...edge,
    px: (v) => edge.left + ((v - x[0]) / (x[1] - x[0])) * (edge.right - edge.left),
    py: (v) => edge.bottom - ((v - y[0]) / (y[1] - y[0])) * (edge.bottom - edge.top),
  }
  if (points.length === 0) {
    const nothing = text((edge.left + edge.right) / 2, height / 2, 'nothing to measure', 'text-anchor="middle"')
    return svg(width, height, options.title, [...axes(options, plot, x, y), nothing])
  }
  // faint ones first, so that the others lie on them
  const drawn = series
    .toSorted((a, b) => Number(b.faint ?? false) - Number(a.faint ?? false))
    .map((s) => drawSeries(s, plot))
  return svg(width, height, options.title, [
    ...axes(options, plot, x, y),
    ...drawn.map((d) => d.band),
    ...drawn.map((d) => d.line),
    ...(names ? endLabels(series, plot) : []),
  ])
}

export interface IntervalRow {
  readonly label: string
  readonly style: Style
  readonly estimate: number
  readonly low: number
  readonly high: number
  /** One small dot each, such as the seeds. */
  readonly dots: readonly number[]
  /** A heading above the row. */
  readonly heading?: string
}

export interface IntervalOptions {
  readonly title: string
  readonly xLabel: string
  /** A vertical line, such as no difference. */
  readonly mark?: number
  readonly width?: number
}

const rowHeight = 22
const headingHeight = 18

function drawRow(row: IntervalRow, y: number, left: number, px: (x: number) => number): string {
  const { color } = row.style
  const caps = [row.low, row.high].map(
    (v) =>
      `<line x1="${n(px(v))}" x2="${n(px(v))}" y1="${n(y - 4)}" y2="${n(y + 4)}" stroke="${color}" stroke-width="2"/>`,
  )
  return [
    text(left - 8, y + 4, row.label, `text-anchor="end" fill="${color}" font-weight="600"`),
    `<line x1="${n(px(row.low))}" x2="${n(px(row.high))}" y1="${n(y)}" y2="${n(y)}" stroke="${color}" stroke-width="2"/>`,
    ...caps,
    ...row.dots.map((v) => `<circle cx="${n(px(v))}" cy="${n(y + 7)}" r="1.8" fill="${color}" opacity=".55"/>`),
    `<circle cx="${n(px(row.estimate))}" cy="${n(y)}" r="4" fill="${color}"/>`,
  ].join('')
}

/** Estimates one under the other, each with its interval and its seeds' own values below the line. */
export function intervalFigure(rows: readonly IntervalRow[], options: IntervalOptions): string {
  const width = options.width ?? 540
  const left = Math.max(...rows.map((r) => r.label.length)) * characterWidth + 20
  const headings = rows.filter((r) => r.heading !== undefined).length
  const top = 28
  const bottom = top + rowHeight * rows.length + headingHeight * headings + 6
  const values = rows.flatMap((r) => [r.low, r.high, r.estimate, ...r.dots])
  const [low, high] = extent(options.mark === undefined ? values : [...values, options.mark], 0.1, 0.03)
  const px = (x: number) => left + 8 + ((x - low) / (high - low)) * (width - left - 24)
  let y = top
  const drawn = rows.map((row) => {
    if (row.heading !== undefined) y += headingHeight
    const heading = row.heading === undefined ? '' : text(8, y - 4, row.heading, 'font-weight="600" fill="#555"')
    y += rowHeight
    return heading + drawRow(row, y - rowHeight / 2, left, px)
  })
  const grid = niceTicks(low, high, 7).map(
    (t) =>
      `<line x1="${n(px(t))}" x2="${n(px(t))}" y1="${top}" y2="${n(bottom)}" stroke="#e3e3e3"/>` +
      text(px(t), bottom + 14, String(t), 'text-anchor="middle"'),
  )
  const mark =
    options.mark === undefined
      ? ''
      : `<line x1="${n(px(options.mark))}" x2="${n(px(options.mark))}" y1="${top}" y2="${n(bottom)}" stroke="#333" stroke-dasharray="3 3"/>`
  return svg(width, bottom + 38, options.title, [
    text(8, 16, options.title, 'font-size="13" font-weight="600"'),
    ...grid,
    mark,
    ...drawn,
    text(left + (width - left) / 2, bottom + 31, options.xLabel, 'text-anchor="middle"'),
  ])
}
