/** CISPO's and GSPO's surrogates: values, gradients, and that all surrogates agree where the ratio is 1. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recipes, type SequenceWeights, sequenceLoss } from './index.ts'

const f = (...values: number[]) => Float32Array.from(values)
const sequence = (advantage: number, weights: number[]): SequenceWeights => ({
  advantage,
  start: 0,
  end: weights.length,
  weights: f(...weights),
})
const old = f(-1.1, -0.5, -1, -0.1)
const logp = f(-1, -0.5, -2, -0.1)
const bare = { clipLow: 0.2, clipHigh: 0.28, klWeight: 0 }

test('GSPO: one ratio a sequence, e^(mean log-ratio) over trained tokens: 1.033895114 on the reference batch', () => {
  // trained tokens 0, 1, 3: (0.1 + 0 + 0) / 3
  const { loss, dLossDLogp } = sequenceLoss(sequence(1, [1, 1, 0, 1]), { ...bare, surrogate: 'gspo' }, logp, old, null)
  expect(loss / 3).toBeCloseTo(-1.033895114, 6)
  for (const [t, g] of [-1.033895114, -1.033895114, 0, -1.033895114].entries()) expect(dLossDLogp[t]).toBeCloseTo(g, 6)
  const second = sequenceLoss(
    sequence(-1, [1, 1, 0, 0]),
    { ...bare, surrogate: 'gspo' },
    f(-0.7, -0.2, 0, 0),
    f(-0.7, -1.7, 0, 0),
    null,
  )
  expect(second.loss / 2).toBeCloseTo(2.117000017, 5)
})

test('GSPO: outside the clip no token of the sequence has a gradient', () => {
  const { dLossDLogp, clipped } = sequenceLoss(sequence(1, [1, 1]), recipes.gspo, f(-0.5, -0.5), f(-1, -0.5), null)
  expect([...dLossDLogp]).toEqual([0, 0])
  expect(clipped).toBe(2)
})

test('CISPO: the clipped ratio weighs logp; a clipped token keeps its gradient; no lower bound', () => {
  const { dLossDLogp, clipped, loss } = sequenceLoss(
    sequence(1, [1, 1, 1]),
    recipes.cispo,
    f(-0.1, -1, -5),
    f(-3, -1, -1),
    null,
  )
  const expected = [5, 1, Math.exp(-4)]
  for (const [t, ratio] of expected.entries()) expect(dLossDLogp[t]).toBeCloseTo(-ratio, 5)
  expect(clipped).toBe(1)
  expect(loss).toBeCloseTo(0.1 * 5 + 1 + 5 * Math.exp(-4), 5)
})

test("property: GSPO's dLoss/dlogp is the slope of its loss, for equal weights", () => {
  const real = fc.double({ min: -2, max: -0.05, noNaN: true })
  fc.assert(
    fc.property(
      fc.array(fc.record({ logp: real, drift: fc.double({ min: -0.1, max: 0.1, noNaN: true }) }), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.constantFrom(-1.5, 0.4, 2),
      (tokens, a) => {
        const run = (shift: number, at: number) =>
          sequenceLoss(
            sequence(
              a,
              tokens.map(() => 0.5),
            ),
            { ...bare, surrogate: 'gspo' },
            f(...tokens.map((t, i) => t.logp + (i === at ? shift : 0))),
            f(...tokens.map((t) => t.logp - t.drift)),
            null,
          )
        const { dLossDLogp } = run(0, -1)
        for (const [i, t] of tokens.entries()) {
          const width = f(t.logp + 1e-2)[0]! - f(t.logp - 1e-2)[0]!
          const slope = (run(1e-2, i).loss - run(-1e-2, i).loss) / width
          expect(Math.abs(slope - dLossDLogp[i]!)).toBeLessThan(5e-3 * Math.max(1, Math.abs(slope)))
        }
      },
    ),
  )
})

test('property: on the policy that sampled, every surrogate has the same gradient', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -3, max: -0.05, noNaN: true }), { minLength: 1, maxLength: 8 }),
      fc.constantFrom(-2, 0, 0.7),
      (values, a) => {
        const at = f(...values)
        const gradients = (['ppo', 'cispo', 'gspo'] as const).map((surrogate) => [
          ...sequenceLoss(
            sequence(
              a,
              values.map(() => 0.25),
            ),
            { ...bare, surrogate },
            at,
            at,
            null,
          ).dLossDLogp,
        ])
        expect(gradients[1]).toEqual(gradients[0])
        expect(gradients[2]).toEqual(gradients[0])
      },
    ),
  )
})

test('dual clip: a token of negative advantage costs at most c |A| and then has no gradient; others keep theirs', () => {
  const settings = { ...bare, dualClip: 3 }
  const run = (a: number) => sequenceLoss(sequence(a, [1, 1]), settings, f(-0.1, -1), f(-3, -1.5), null)
  const [bad, good] = [run(-1), run(1)]
  expect(bad.loss).toBeCloseTo(3 + Math.exp(0.5), 5)
  expect([...bad.dLossDLogp].map((x) => Math.round(x * 1e4) / 1e4)).toEqual([0, 1.6487])
  expect(bad.clipped).toBe(1)
  expect(good.loss).toBeCloseTo(-1.28 * 2, 5)
})

test('cap of the ratio: above it a token of negative advantage keeps its cost and loses its gradient', () => {
  const { loss, dLossDLogp, clipped } = sequenceLoss(
    sequence(-2, [1, 1]),
    { ...bare, ratioCap: 1.5 },
    f(-0.1, -1),
    f(-3, -1.3),
    null,
  )
  expect(loss).toBeCloseTo(2 * (1.5 + Math.exp(0.3)), 5)
  expect([...dLossDLogp].map((x) => Math.round(x * 1e4) / 1e4)).toEqual([0, 2.6997])
  expect(clipped).toBe(1)
})

test('ratio and KL to the policy that sampled: exactly 1 and 0 there; the sums of trained tokens elsewhere', () => {
  const same = sequenceLoss(sequence(1, [1, 0, 1, 1]), bare, old, old, null)
  expect([same.ratioSum, same.ratioMax, same.oldKlSum, same.clipped]).toEqual([3, 1, 0, 0])
  const moved = sequenceLoss(sequence(1, [1, 1, 0, 1]), bare, logp, old, null)
  expect(moved.ratioMax).toBeCloseTo(Math.exp(0.1), 6)
  expect(moved.ratioSum).toBeCloseTo(Math.exp(0.1) + 2, 6)
  expect(moved.oldKlSum).toBeCloseTo(Math.exp(0.1) - 1 - 0.1, 6)
})

test('an entropy bonus without entropies says what is missing', () => {
  const run = (entropies: Float32Array | null) => () =>
    sequenceLoss(sequence(1, [1]), { ...bare, entropyBonus: 0.1 }, f(-1), f(-1), null, entropies)
  expect(run(null)).toThrow(/an entropy bonus needs the entropies of 1 tokens, got none/)
  expect(run(f(1, 2))).toThrow(/of 1 tokens, got 2/)
  expect(run(f(2))().loss).toBeCloseTo(-1.2, 6)
})
