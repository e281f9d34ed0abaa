/**
 * A line chart as a self-contained SVG string: one axis pair, any number of series, gaps where a value is missing.
 * Not here: interaction, layout of several charts (report.ts).
 */

export interface Series {
  readonly label: string
  readonly color: string
  /** Points in step order; y null where nothing was measured at that step. */
  readonly points: readonly { readonly x: number; readonly y: number | null }[]
}

export interface ChartOptions {
  readonly title: string
  readonly xLabel: string
  /** Fixed vertical range; by default the data's own. */
  readonly range?: readonly [number, number]
  /** Fixed horizontal range, so that charts side by side have one axis; by default the data's own. */
  readonly domain?: readonly [number, number]
  /** Points of the moving mean drawn over the pale measured line; 1 draws the measured line alone. */
  readonly smooth?: number
  readonly width?: number
  readonly height?: number
}

/** Okabe-Ito: told apart with any colour vision. */
export const seriesColors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'] as const

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** Round tick positions covering [low, high], about `count` of them. */
export function niceTicks(low: number, high: number, count = 5): number[] {
  if (!(high > low)) return [low]
  const raw = (high - low) / count
  const magnitude = 10 ** Math.floor(Math.log10(raw))
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((m) => m * magnitude >= raw) ?? 10)
  const ticks: number[] = []
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++)
    ticks.push(Number((k * step).toPrecision(12)))
  return ticks
}

const margin = { top: 34, right: 14, bottom: 38, left: 48 }

/** Unbroken runs of measured points as SVG path data. */
function pathData(series: Series, px: (x: number) => number, py: (y: number) => number): string {
  let pen = false
  let path = ''
  for (const { x, y } of series.points) {
    if (y === null || !Number.isFinite(y)) {
      pen = false
      continue
    }
    path += `${pen ? 'L' : 'M'}${px(x).toFixed(1)} ${py(y).toFixed(1)}`
    pen = true
  }
  return path
}

/** Mean of what was measured among the last `width` points; null where nothing was. */
function movingMean(points: Series['points'], width: number): Series['points'] {
  return points.map(({ x }, i) => {
    const values = points.slice(Math.max(0, i - width + 1), i + 1).flatMap(({ y }) => (y === null ? [] : [y]))
    return { x, y: values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length }
  })
}

/** The measured line; with smoothing pale, its points as dots (many have no neighbour), under the moving mean. */
function seriesSvg(s: Series, smooth: number, px: (x: number) => number, py: (y: number) => number): string {
  const line = (points: Series['points'], width: number, opacity: number) =>
    `<path d="${pathData({ ...s, points }, px, py)}" fill="none" stroke="${s.color}" stroke-width="${width}" stroke-opacity="${opacity}" stroke-linejoin="round" stroke-linecap="round"/>`
  if (smooth <= 1) return line(s.points, 2, 1)
  const dots = s.points.map(({ x, y }) =>
    y === null ? '' : `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="1.3"/>`,
  )
  const measured = `<g fill="${s.color}" fill-opacity="0.35">${dots.join('')}</g>`
  return `${line(s.points, 1, 0.25)}${measured}${line(movingMean(s.points, smooth), 2.2, 1)}`
}

function extent(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1]
  const low = Math.min(...values)
  const high = Math.max(...values)
  return low === high ? [low - 0.5, high + 0.5] : [low, high]
}

export function lineChart(series: readonly Series[], options: ChartOptions): string {
  const width = options.width ?? 460
  const height = options.height ?? 260
  const measured = series.flatMap((s) => s.points.filter((p) => p.y !== null && Number.isFinite(p.y)))
  const [x0, x1] = options.domain ?? extent(measured.map((p) => p.x))
  const [y0, y1] = options.range ?? extent(measured.map((p) => p.y as number))
  const px = (x: number) => margin.left + ((x - x0) / (x1 - x0)) * (width - margin.left - margin.right)
  const py = (y: number) => height - margin.bottom - ((y - y0) / (y1 - y0)) * (height - margin.top - margin.bottom)
  const grid = niceTicks(y0, y1).map(
    (t) =>
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${py(t).toFixed(1)}" y2="${py(t).toFixed(1)}" stroke="#ddd"/>` +
      `<text x="${margin.left - 6}" y="${(py(t) + 4).toFixed(1)}" text-anchor="end">${t}</text>`,
  )
  const ticks = niceTicks(x0, x1).map(
    (t) => `<text x="${px(t).toFixed(1)}" y="${height - margin.bottom + 16}" text-anchor="middle">${t}</text>`,
  )
  const lines = series.map((s) => seriesSvg(s, options.smooth ?? 1, px, py))
  let legendX = margin.left
  const legend = series.map((s) => {
    const entry = `<rect x="${legendX}" y="22" width="10" height="3" fill="${s.color}"/><text x="${legendX + 14}" y="27">${escapeHtml(s.label)}</text>`
    legendX += 24 + s.label.length * 6.2
    return entry
  })
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui,sans-serif" font-size="11" fill="#333">` +
    `<rect width="${width}" height="${height}" fill="#fff"/><text x="${margin.left}" y="14" font-size="13" font-weight="600">${escapeHtml(options.title)}</text>` +
    `${legend.join('')}${grid.join('')}${ticks.join('')}${lines.join('')}` +
    `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle">${escapeHtml(options.xLabel)}</text></svg>`
  )
}
