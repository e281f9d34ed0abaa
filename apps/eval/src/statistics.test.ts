import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bootstrapMean, passAtK, type QuestionCounts, summarise, summariseByFamily } from './statistics.ts'

test('passAtK: published values for n = 8, k = 4 and n = 16', () => {
  const expected = [0, 0.5, 0.785714, 0.928571, 0.985714, 1, 1, 1, 1]
  for (const [c, value] of expected.entries()) expect(passAtK(8, c, 4)).toBeCloseTo(value, 6)
  expect(passAtK(16, 4, 4)).toBeCloseTo(0.728022, 6)
})

test('passAtK: equals the share of k-subsets that hold a right sample', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(9), fc.integer({ min: 1, max: 9 }), (n, c, k) => {
      fc.pre(c <= n && k <= n)
      let hits = 0
      let subsets = 0
      for (let mask = 0; mask < 1 << n; mask++) {
        const bits = [...Array(n).keys()].filter((i) => mask & (1 << i))
        if (bits.length !== k) continue
        subsets++
        if (bits.some((i) => i < c)) hits++
      }
      expect(passAtK(n, c, k)).toBeCloseTo(hits / subsets, 10)
    }),
  )
})

test('passAtK: refuses fewer samples than k', () => {
  expect(() => passAtK(3, 1, 4)).toThrow(/Draw more samples/)
})

test('bootstrapMean: same seed same interval, mean inside, width near the normal one', () => {
  const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0))
  const a = bootstrapMean(values, 2000, 7)
  expect(a).toEqual(bootstrapMean(values, 2000, 7))
  expect(a.mean).toBe(0.25)
  const halfWidth = 1.96 * Math.sqrt((0.25 * 0.75) / 400)
  expect(a.high - a.low).toBeGreaterThan(halfWidth * 2 * 0.85)
  expect(a.high - a.low).toBeLessThan(halfWidth * 2 * 1.15)
})

const counts = (
  questionId: string,
  family: string,
  correct: number,
  toolUsing: number,
  toolUsingCorrect: number,
): QuestionCounts => ({
  questionId,
  family,
  samples: 8,
  correct,
  toolUsing,
  toolUsingCorrect,
})

test('summarise: tool rates are conditional on tool use', () => {
  const s = summarise('all', [
    counts('a', 'zoom', 4, 2, 0),
    counts('b', 'zoom', 8, 4, 4),
    counts('c', 'python', 0, 0, 0),
  ])
  expect(s.passAt1.mean).toBeCloseTo(0.5)
  expect(s.toolUseRate).toBeCloseTo(6 / 24)
  expect(s.allWrongRate).toBeCloseTo(1 / 2)
  expect(s.accuracyWithTool).toBeCloseTo(4 / 6)
  expect(s.accuracyWithoutTool).toBeCloseTo(8 / 18)
})

test('summariseByFamily: all first, then each family once', () => {
  const s = summariseByFamily([counts('a', 'zoom', 4, 2, 0), counts('c', 'python', 0, 0, 0)])
  expect(s.map((x) => x.name)).toEqual(['all', 'python', 'zoom'])
  expect(s[1]!.allWrongRate).toBeNull()
})
