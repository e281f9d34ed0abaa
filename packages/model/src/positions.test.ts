import { describe, expect, it } from 'vitest'
import { createVisionTables, findImageRuns, mropeAxis, planPositions } from './positions.ts'

const PAD = 9
const example = [1, 1, 5, PAD, PAD, PAD, PAD, PAD, PAD, 6, 1, 1, 1, 5, PAD, PAD, PAD, PAD, 6, 1]
const grids = [
  { gh: 4, gw: 6 },
  { gh: 4, gw: 4 },
]

describe('positions', () => {
  it('gives the worked example of two images', () => {
    const { positions, next } = planPositions(20, findImageRuns(example, PAD, grids))
    const axis = (a: number) => Array.from({ length: 20 }, (_, i) => positions[i * 3 + a])
    expect(axis(0)).toEqual([0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8, 9, 10, 11, 11, 11, 11, 13, 14])
    expect(axis(1)).toEqual([0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8, 9, 10, 11, 11, 12, 12, 13, 14])
    expect(axis(2)).toEqual([0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 11, 12, 13, 14])
    expect(next).toBe(15)
  })

  it('refuses a wrong number of pads or images', () => {
    expect(() => findImageRuns(example, PAD, [{ gh: 4, gw: 4 }, grids[1]!])).toThrow(/must have 4 pads.*got a run of 6/)
    expect(() => findImageRuns(example, PAD, [grids[0]!])).toThrow(/only 1 were given/)
    expect(() => findImageRuns([1, 2], PAD, grids)).toThrow(/2 images were given, got 0 runs/)
  })

  it('interleaves the axes of M-RoPE', () => {
    const layout = (section: [number, number, number], half: number) =>
      Array.from({ length: half }, (_, j) => 'THW'[mropeAxis(j, section)]).join('')
    expect(layout([4, 2, 2], 8)).toBe('THWTHWTT')
    expect(layout([3, 3, 2], 8)).toBe('THWTHWTH')
    expect(layout([24, 20, 20], 64)).toBe(`${'THW'.repeat(20)}TTTT`)
  })

  it('interpolates the position table with aligned corners, in block order', () => {
    const vision = { width: 24, heads: 2, positionSide: 5 } as Parameters<typeof createVisionTables>[1]
    const { corners, weights, cos } = createVisionTables({ gh: 6, gw: 4 }, vision)
    // row 3 of block order is patch (1, 1): u = .8, v = 4/3
    expect([...corners.subarray(12, 16)]).toEqual([1, 2, 6, 7])
    const expected = [0.2 * (2 / 3), 0.2 / 3, 0.8 * (2 / 3), 0.8 / 3]
    expected.forEach((w, i) => {
      expect(weights[12 + i]).toBeCloseTo(w, 6)
    })
    for (let n = 0; n < 24; n++) expect(weights.subarray(n * 4, n * 4 + 4).reduce((a, b) => a + b)).toBeCloseTo(1, 6)
    // angles: r * f_k then c * f_k, three frequencies an axis
    const frequency = (k: number) => Math.fround(10000 ** (-k / 3))
    expect(cos[3 * 6 + 1]).toBeCloseTo(Math.cos(frequency(1)), 6)
    expect(cos[4 * 6 + 3]).toBeCloseTo(Math.cos(2), 6)
  })
})
