import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BandSeries, bandFigure, intervalFigure, legend, spreadLabels, styleOf } from './compare-figure.ts'

const options = { title: 'a < b', xLabel: 'steps', yLabel: 'share', yRange: [0, 1] as const }
const series = (label: string, means: readonly (number | null)[], marks = false): BandSeries => ({
  label,
  style: styleOf(0),
  marks,
  points: means.map((mean, x) => (mean === null ? null : { x, mean, low: mean - 0.1, high: mean + 0.1 })),
})

describe('bandFigure', () => {
  it('draws line and band in place, breaks both at a gap, names the line at its end', () => {
    // plot area: x from 56 to 540 - (1 x 7.4 + 22) = 510.6, y from 238 (0) to 30 (1)
    const svg = bandFigure([series('A', [0, 1, null, 0.5])], options)
    const paths = [...svg.matchAll(/<path d="([^"]*)"/g)].map((m) => m[1])
    expect(paths[0]).toBe('M56 217.2L207.5 9.2L207.5 50.8L56 258.8Z')
    expect(paths[1]).toBe('M56 238L207.5 30')
    expect(paths[2]).toBe('M510.6 134')
    expect(svg).toContain('<circle cx="510.6" cy="134"')
    expect(svg).toMatch(/<text x="527.6" y="138"[^>]*>A<\/text>/)
    expect(svg).toContain('a &lt; b')
    expect(svg).toContain('rotate(-90')
  })
  it('says so when there is nothing to draw', () => {
    expect(bandFigure([series('A', [null, null])], options)).toContain('nothing to measure')
    expect(bandFigure([], options)).not.toMatch(/NaN|Infinity/)
  })
  it('one value, or all the same, still has an axis', () => {
    const { yRange: _, ...free } = options
    const flat = { ...series('A', [0.5]), points: [{ x: 3, mean: 0.5, low: 0.5, high: 0.5 }] }
    expect(bandFigure([flat], free)).not.toMatch(/NaN|Infinity/)
  })
  it('faint lines are thin and have no band; without names nothing stands at the ends', () => {
    const svg = bandFigure([series('A', [0, 1]), { ...series('B', [1, 0]), faint: true }], { ...options, names: false })
    expect(svg.match(/fill-opacity/g)).toHaveLength(1)
    expect(svg.match(/stroke-width="1"/g)).toHaveLength(1)
    // bold ones are drawn last; a name is told by the pointer only
    expect(svg.indexOf('<title>B</title>')).toBeLessThan(svg.indexOf('<title>A</title>'))
    expect(svg).not.toMatch(/>A<\/text>/)
    expect(legend([series('a & b', [])])).toContain('a &amp; b</span>')
  })
  it('what is never negative has no axis below 0', () => {
    const { yRange: _, ...free } = options
    const zero = { ...series('A', []), points: [0, 1].map((x) => ({ x, mean: 0, low: 0, high: 0 })) }
    expect(bandFigure([zero], free)).not.toContain('>-0')
    const below = { ...zero, points: [-1, 1].map((x) => ({ x, mean: x, low: x, high: x })) }
    expect(bandFigure([below], free)).toContain('>-1</text>')
  })
  it('grows with the number of names, so that none covers another', () => {
    const many = Array.from({ length: 19 }, (_, i) => series(`recipe ${i}`, [0.5, 0.5]))
    const svg = bandFigure(many, options)
    const heights = [...svg.matchAll(/y="([\d.]+)"[^>]*>recipe \d+</g)].map((m) => Number(m[1])).sort((a, b) => a - b)
    expect(heights).toHaveLength(19)
    for (let i = 1; i < heights.length; i++) expect(heights[i]! - heights[i - 1]!).toBeGreaterThanOrEqual(12.9)
  })
})

describe('spreadLabels', () => {
  it('keeps a line between neighbours and their order, and stays inside where there is room', () => {
    const heights = fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(heights, (wanted) => {
        const placed = spreadLabels(wanted, 0, 300)
        const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y)
        const sorted = order.map(({ i }) => placed[i]!)
        for (let k = 1; k < sorted.length; k++) expect(sorted[k]! - sorted[k - 1]!).toBeGreaterThanOrEqual(13 - 1e-9)
        expect(Math.min(...placed)).toBeGreaterThanOrEqual(-1e-9)
        expect(Math.max(...placed)).toBeLessThanOrEqual(300 + 1e-9)
      }),
    )
    expect(spreadLabels([10, 100], 0, 200)).toEqual([10, 100])
  })
})

describe('styleOf', () => {
  it('21 recipes look different', () => {
    const styles = Array.from({ length: 21 }, (_, i) => styleOf(i))
    expect(new Set(styles.map((s) => `${s.color} ${s.dash}`)).size).toBe(21)
  })
})

describe('intervalFigure', () => {
  it('a row each, headings above, a line at no difference', () => {
    const row = { label: 'mean', style: styleOf(1), estimate: 0.1, low: -0.1, high: 0.3, dots: [0, 0.2] }
    const svg = intervalFigure([{ ...row, heading: 'axpo - grpo' }, row], { title: 't', xLabel: 'difference', mark: 0 })
    expect(svg.match(/r="4"/g)).toHaveLength(2)
    expect(svg.match(/r="1.8"/g)).toHaveLength(4)
    expect(svg).toContain('axpo - grpo')
    expect(svg.match(/stroke-dasharray="3 3"/g)).toHaveLength(1)
    expect(svg).not.toMatch(/NaN|Infinity/)
  })
})
