import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bandKind,
  bandsOverSeeds,
  holmAdjusted,
  interquartileMean,
  interquartileOverRuns,
  meanArea,
  probabilityOfImprovement,
  ratioOverSeeds,
  trailingMean,
} from './statistics-runs.ts'

const quick = { replicates: 500, seed: 2, level: 0.95 }

describe('probabilityOfImprovement', () => {
  test('by hand: {1, 3} against {2, 3}: 0 + 0 + 1 + 1/2 of 4 pairs', () => {
    expect(probabilityOfImprovement([[1, 3]], [[2, 3]], quick).estimate).toBe(0.375)
  })
  test('mean over families; always and never', () => {
    const p = probabilityOfImprovement(
      [
        [5, 6],
        [0, 0],
      ],
      [
        [1, 2],
        [1, 1],
      ],
      quick,
    )
    expect(p).toEqual({ estimate: 0.5, low: 0.5, high: 0.5, replicates: 500, seeds: 2 })
  })
  test('P(X > Y) + P(Y > X) = 1, inside its interval', () => {
    const runs = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(runs, runs, (x, y) => {
        const p = probabilityOfImprovement([x], [y], { ...quick, replicates: 200 })
        expect(p.estimate + probabilityOfImprovement([y], [x], quick).estimate).toBeCloseTo(1, 12)
        expect(p.low).toBeLessThanOrEqual(p.estimate + 1e-12)
        expect(p.high).toBeGreaterThanOrEqual(p.estimate - 1e-12)
      }),
      { numRuns: 50 },
    )
  })
  test('refuses families without runs', () => {
    expect(() => probabilityOfImprovement([], [])).toThrow(/same families/)
    expect(() => probabilityOfImprovement([[]], [[1]])).toThrow(/at least one run/)
  })
})

describe('interquartileMean', () => {
  test('drops a quarter at each end, rounded down', () => {
    expect(interquartileMean([100, 1, 2, 3, 4, 5, 6, -100])).toBe(3.5)
    expect(interquartileMean([1, 2, 6])).toBe(3)
  })
  test('over runs: all families together; the interval draws the seeds of each family for itself', () => {
    const { estimate, low, high, seeds } = interquartileOverRuns(
      [
        [0, 1],
        [10, 10],
      ],
      { ...quick, replicates: 4000 },
    )
    // of 0 1 10 10 the middle two; a replicate draws 0 0, 0 1 or 1 1 beside 10 10
    expect([estimate, low, high, seeds]).toEqual([5.5, 5, 5.5, 2])
    const one = interquartileOverRuns([[3, 4, 5, 100]], quick)
    expect(one.estimate).toBe(4.5)
    expect(one.low).toBeLessThan(4.5)
    expect(one.high).toBeGreaterThan(4.5)
  })
})

describe('bands', () => {
  test('few seeds show their extremes, more an interval', () => {
    expect([1, 5, 6, 8].map(bandKind)).toEqual(['min-max', 'min-max', 'interval', 'interval'])
    expect(
      bandsOverSeeds(
        [
          [0.2, null],
          [null, null],
          [0.6, null],
          [0.1, null],
        ],
        'min-max',
      ),
    ).toEqual([{ mean: expect.closeTo(0.3, 12), low: 0.1, high: 0.6 }, null])
  })
  test('two seeds by hand: a replicate is 0, .5 or 1 with chance 1/4, 1/2, 1/4; a seed without a value is left out', () => {
    const options = { replicates: 20_000, seed: 3, level: 0.4 }
    expect(bandsOverSeeds([[0], [1]], 'interval', options)).toEqual([{ mean: 0.5, low: 0.5, high: 0.5 }])
    const wide = { ...options, level: 0.6 }
    expect(bandsOverSeeds([[0], [1]], 'interval', wide)).toEqual([{ mean: 0.5, low: 0, high: 1 }])
    expect(bandsOverSeeds([[0.25], [null]], 'interval', wide)).toEqual([{ mean: 0.25, low: 0.25, high: 0.25 }])
  })
  test('the interval lies within the extremes and holds the mean', () => {
    const values = fc.array(fc.integer({ min: 0, max: 16 }), { minLength: 6, maxLength: 10 })
    fc.assert(
      fc.property(values, (v) => {
        const rows = v.map((x) => [x])
        const inner = bandsOverSeeds(rows, 'interval', quick)[0]!
        const outer = bandsOverSeeds(rows, 'min-max')[0]!
        expect(inner.mean).toBe(outer.mean)
        expect(inner.low).toBeGreaterThanOrEqual(outer.low)
        expect(inner.high).toBeLessThanOrEqual(outer.high)
        expect(inner.low).toBeLessThanOrEqual(inner.mean + 1e-12)
        expect(inner.high).toBeGreaterThanOrEqual(inner.mean - 1e-12)
      }),
      { numRuns: 50 },
    )
  })
})

describe('meanArea', () => {
  test('trapezoids by hand: (0, 0), (2, 1), (3, 1): (1 + 1) / 3', () => {
    expect(meanArea([0, 2, 3], [0, 1, 1])).toBeCloseTo(2 / 3, 12)
    expect(meanArea([7], [0.4])).toBe(0.4)
  })
  test('a constant is its own mean height; linear in y', () => {
    const points = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(points, fc.integer({ min: -5, max: 5 }), (p, c) => {
        const x = p.toSorted((a, b) => a - b)
        expect(
          meanArea(
            x,
            x.map(() => c),
          ),
        ).toBeCloseTo(c, 9)
        const y = x.map((v) => Math.sin(v))
        expect(
          meanArea(
            x,
            y.map((v) => 2 * v + c),
          ),
        ).toBeCloseTo(2 * meanArea(x, y) + c, 9)
      }),
    )
  })
  test('refuses points out of order', () => {
    expect(() => meanArea([1, 1], [0, 0])).toThrow(/must ascend/)
    expect(() => meanArea([], [])).toThrow(/at least one/)
  })
})

describe('trailingMean', () => {
  test('leaves gaps out', () => {
    expect(trailingMean([1, null, 3, null, null], 2)).toEqual([1, 1, 3, 3, null])
    expect(trailingMean([1, 2, 6], 1)).toEqual([1, 2, 6])
  })
})

describe('ratioOverSeeds', () => {
  test('of sums, not the mean of ratios; few seeds show the extremes of those that have something to count', () => {
    expect(ratioOverSeeds([1, 8, 0], [2, 10, 0], 'min-max')).toEqual({ mean: 9 / 12, low: 0.5, high: 0.8 })
    expect(ratioOverSeeds([0, 0], [0, 0], 'min-max')).toBeNull()
    expect(() => ratioOverSeeds([1], [1, 2], 'min-max')).toThrow(/got 1 and 2/)
  })
  test('with equal denominators it is the interval of the mean', () => {
    const values = [0.1, 0.5, 0.3, 0.9, 0.2, 0.4]
    const [band] = bandsOverSeeds(
      values.map((v) => [v]),
      'interval',
      quick,
    )
    const ratio = ratioOverSeeds(
      values.map((v) => 4 * v),
      values.map(() => 4),
      'interval',
      quick,
    )!
    expect(ratio.mean).toBeCloseTo(band!.mean, 12)
    expect(ratio.low).toBeCloseTo(band!.low, 12)
    expect(ratio.high).toBeCloseTo(band!.high, 12)
  })
  test('a seed brings its numerator and its denominator together', () => {
    const denominators = [1, 40, 3, 200, 7, 90]
    const half = ratioOverSeeds(
      denominators.map((d) => d / 2),
      denominators,
      'interval',
      quick,
    )
    expect(half).toEqual({ mean: 0.5, low: 0.5, high: 0.5 })
  })
})

describe('holmAdjusted', () => {
  test("as R's p.adjust(c(.01, .04, .03, .005), 'holm')", () => {
    expect(holmAdjusted([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02].map((v) => expect.closeTo(v, 12)))
    expect(holmAdjusted([0.7, 0.6])).toEqual([1, 1])
    expect([holmAdjusted([0.2]), holmAdjusted([])]).toEqual([[0.2], []])
  })
})
