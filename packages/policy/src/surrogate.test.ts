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
