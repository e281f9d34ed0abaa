import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type BootstrapOptions,
  hierarchicalBootstrap,
  hierarchicalRatio,
  pairedDifference,
  quantile,
  signFlipTest,
} from './statistics-bootstrap.ts'

const quick = (level = 0.95, seed = 3): BootstrapOptions => ({ replicates: 400, seed, level })
/** M families x S seeds x Q questions of sixteenths, as Pass@1 differences are. */
const scores = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 7 }))
  .chain(([m, s, q]) => {
    const rows = fc.array(
      fc.integer({ min: -16, max: 16 }).map((v) => v / 16),
      { minLength: q, maxLength: q },
    )
    return fc.array(fc.array(rows, { minLength: s, maxLength: s }), { minLength: m, maxLength: m })
  })

describe('quantile', () => {
  test('between order statistics as numpy and R by default: 1..5 at .1 is 1.4, at .5 is 3', () => {
    expect(quantile([1, 2, 3, 4, 5], 0.1)).toBeCloseTo(1.4, 12)
    expect(quantile([1, 2, 3, 4, 5], 0.5)).toBe(3)
    expect([0, 1].map((q) => quantile([7, 9], q))).toEqual([7, 9])
    expect(quantile([4], 0.3)).toBe(4)
  })
  test('refuses what has no quantile', () => {
    expect(() => quantile([], 0.5)).toThrow(/at least one value/)
    expect(() => quantile([1], 1.5)).toThrow(/must lie in \[0, 1\], got 1.5/)
  })
})

describe('hierarchicalBootstrap', () => {
  test('two seeds, one question, by hand: replicates are 0, .5, 1 with chance 1/4, 1/2, 1/4', () => {
    const { mean, families } = hierarchicalBootstrap([[[0], [1]]], { replicates: 40_000, seed: 5, level: 0.4 })
    // central 40 %: from the 30th to the 70th percentile, both inside the half that is .5
    expect(mean).toMatchObject({ estimate: 0.5, low: 0.5, high: 0.5, seeds: 2, questions: 1, replicates: 40_000 })
    expect(families).toEqual([mean])
    const wide = hierarchicalBootstrap([[[0], [1]]], { replicates: 40_000, seed: 5, level: 0.6 }).mean
    // 20th and 80th percentile: inside the quarters of 0 and 1
    expect([wide.low, wide.high]).toEqual([0, 1])
    // #{D* <= 0} is a quarter of the replicates, #{D* >= 0} all: p near 2 x 1/4
    expect(wide.p).toBeGreaterThan(0.48)
    expect(wide.p).toBeLessThan(0.52)
  })

  test('variance is that of both levels: seed variance / S, plus question variance / Q', () => {
    // x[s][q] = a_s + b_q: the pigeonhole bootstrap's variance is var(a) / S + var(b) / Q with population variances
    const a = [0, 0.1, 0.3, 0.8]
    const b = Array.from({ length: 25 }, (_, q) => (q % 5) / 5)
    const variance = (v: number[]) => {
      const m = v.reduce((x, y) => x + y, 0) / v.length
      return v.reduce((x, y) => x + (y - m) ** 2, 0) / v.length
    }
    const sd = Math.sqrt(variance(a) / 4 + variance(b) / 25)
    const { mean } = hierarchicalBootstrap([a.map((x) => b.map((y) => x + y))], {
      replicates: 20_000,
      seed: 1,
      level: 0.6827,
    })
    expect((mean.high - mean.low) / 2 / sd).toBeGreaterThan(0.93)
    expect((mean.high - mean.low) / 2 / sd).toBeLessThan(1.07)
  })

  test('families weigh the same whatever their number of questions', () => {
    const { mean, families } = hierarchicalBootstrap([[[1, 1, 1, 1]], [[0]]], quick())
    expect(mean).toMatchObject({ estimate: 0.5, low: 0.5, high: 0.5, questions: 5 })
    expect(families.map((f) => f.estimate)).toEqual([1, 0])
    expect(families.map((f) => f.questions)).toEqual([4, 1])
  })

  test('a difference that every seed and question shares has p = 2 / (R + 1)', () => {
    const { mean } = hierarchicalBootstrap([[[0.25, 0.25]], [[0.25, 0.25]]], quick())
    expect(mean.p).toBeCloseTo(2 / 401, 12)
  })

  test('the interval holds the estimate, grows with the level, and one seed gives one result', () => {
    fc.assert(
      fc.property(scores, (x) => {
        const wide = hierarchicalBootstrap(x, quick(0.95))
        const narrow = hierarchicalBootstrap(x, quick(0.8))
        expect(hierarchicalBootstrap(x, quick(0.95))).toEqual(wide)
        for (const [w, n] of [
          [wide.mean, narrow.mean] as const,
          ...wide.families.map((f, i) => [f, narrow.families[i]!] as const),
        ]) {
          expect(w.low).toBeLessThanOrEqual(w.estimate + 1e-9)
          expect(w.high).toBeGreaterThanOrEqual(w.estimate - 1e-9)
          expect(w.low).toBeLessThanOrEqual(n.low)
          expect(w.high).toBeGreaterThanOrEqual(n.high)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('A - B is minus B - A, interval and p-value included', () => {
    fc.assert(
      fc.property(scores, (x) => {
        const zero = x.map((f) => f.map((s) => s.map(() => 0)))
        const ab = hierarchicalBootstrap(pairedDifference(x, zero), quick()).mean
        const ba = hierarchicalBootstrap(pairedDifference(zero, x), quick()).mean
        expect(ab.estimate).toBeCloseTo(-ba.estimate, 12)
        expect(ab.low).toBeCloseTo(-ba.high, 9)
        expect(ab.high).toBeCloseTo(-ba.low, 9)
        expect(ab.p).toBeCloseTo(ba.p, 12)
      }),
      { numRuns: 60 },
    )
  })

  test('refuses ragged and empty scores', () => {
    expect(() => hierarchicalBootstrap([], quick())).toThrow(/at least one family/)
    expect(() => hierarchicalBootstrap([[[1]], [[1], [1]]], quick())).toThrow(/same seeds/)
    expect(() => hierarchicalBootstrap([[[1, 0], [1]]], quick())).toThrow(/same questions/)
    expect(() => hierarchicalBootstrap([[[Number.NaN]]], quick())).toThrow(/finite, got NaN/)
    expect(() => pairedDifference([[[1]]], [[[1, 2]]])).toThrow(/same questions, got 1 and 2/)
  })
})

describe('signFlipTest', () => {
  test('all of one sign: 2 / 2^S, the smallest there is', () => {
    expect([3, 4, 5, 6, 8].map((n) => signFlipTest(Array.from({ length: n }, (_, i) => 1 + i)))).toEqual([
      0.25, 0.125, 0.0625, 0.03125, 0.0078125,
    ])
  })
  test('-1, 2, 4 by hand: of the eight sums +-1 +-2 +-4 those of size 7 and 5 reach 5, so p = 4/8', () => {
    expect(signFlipTest([-1, 2, 4])).toBe(0.5)
  })
  test('no difference: p = 1; ties in another order of summation count', () => {
    expect(signFlipTest([0, 0, 0])).toBe(1)
    expect(signFlipTest([0.1, 0.2, -0.3])).toBe(1)
  })
  test('symmetric, free of scale and order, never below 2 / 2^S', () => {
    const differences = fc.array(
      fc.integer({ min: -20, max: 20 }).map((v) => v / 16),
      { minLength: 1, maxLength: 8 },
    )
    fc.assert(
      fc.property(differences, fc.integer({ min: 1, max: 5 }), (d, k) => {
        const p = signFlipTest(d)
        expect(signFlipTest(d.map((v) => -v))).toBe(p)
        expect(signFlipTest(d.map((v) => v * k))).toBe(p)
        expect(signFlipTest(d.toReversed())).toBe(p)
        expect(p).toBeGreaterThanOrEqual(2 / 2 ** d.length)
        expect(p).toBeLessThanOrEqual(1)
      }),
    )
  })
  test('refuses what it cannot list', () => {
    expect(() => signFlipTest([])).toThrow(/got 0/)
    expect(() => signFlipTest(new Array(21).fill(1))).toThrow(/1 to 20 differences, got 21/)
  })
})

describe('hierarchicalRatio', () => {
  test('denominators all 1: the figures of hierarchicalBootstrap, family by family', () => {
    fc.assert(
      fc.property(scores, (x) => {
        const ones = x.map((family) => family.map((row) => row.map(() => 1)))
        const ratio = hierarchicalRatio(x, ones, quick())
        const { families } = hierarchicalBootstrap(x, quick())
        for (const [m, { p: _, ...expected }] of families.entries())
          for (const [key, value] of Object.entries(expected))
            expect(ratio.families[m]![key as 'low']).toBeCloseTo(value, 12)
      }),
      { numRuns: 30 },
    )
  })
  test('by hand: two questions, one without anything to count', () => {
    // seeds answer (1 of 2, 0 of 0): whatever is drawn, the ratio is 1/2, or nothing was drawn to count
    const { all, families } = hierarchicalRatio([[[1, 0]], [[0]]], [[[2, 0]], [[0]]], quick())
    expect(all).toMatchObject({ estimate: 0.5, low: 0.5, high: 0.5, seeds: 1, questions: 3 })
    // a quarter of the replicates drew the second question of the first family twice, and nothing to count
    expect(all!.replicates).toBeGreaterThan(270)
    expect(all!.replicates).toBeLessThan(330)
    expect(families).toEqual([{ ...all, questions: 2 }, null])
    expect(hierarchicalRatio([[[0]]], [[[0]]], quick()).all).toBeNull()
  })
  test('refuses denominators of another shape', () => {
    expect(() => hierarchicalRatio([[[1, 0]]], [[[1]]], quick())).toThrow(/same families, seeds and questions/)
  })
})
