import { expect, test } from 'vitest'
import { escapeHtml, lineChart, niceTicks } from './chart.ts'

test('niceTicks: round numbers inside the range', () => {
  expect(niceTicks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
  expect(niceTicks(3, 97)).toEqual([20, 40, 60, 80])
  expect(niceTicks(2, 2)).toEqual([2])
})

test('lineChart: a missing value breaks the line, the rest is drawn in place', () => {
  const points = [0, 0.5, null, 1].map((y, x) => ({ x, y }))
  const svg = lineChart([{ label: 'a < b', color: '#000', points }], {
    title: 't',
    xLabel: 'step',
    range: [0, 1],
    width: 162,
    height: 172,
  })
  const path = /<path d="([^"]*)"/.exec(svg)![1]!
  // 100 x 100 plot area: steps 0..3 at x = 48, 81.3, 114.7, 148; y from 134 (0) to 34 (1)
  expect(path).toBe('M48.0 134.0L81.3 84.0M148.0 34.0')
  expect(svg).toContain('a &lt; b')
})

test('escapeHtml: every character that could open a tag or an attribute', () => {
  expect(escapeHtml('<a href="x">&')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;')
})
