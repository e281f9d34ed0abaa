/** Splitting a step into mini-batches: nothing is lost, no group is cut, and each part is weighed as a step of its own. */
import { type Advantage, loadAdvantage } from '@axpo/advantage'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { batches, continuationsOf } from './batches.fixture.ts'
import { planLoss, type Recipe, recipes, selectPrefixes, splitMiniBatches } from './index.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})
const recipe: Recipe = { ...recipes.axpo, budget: 0.8, continuations: 3 }
const count = fc.integer({ min: 1, max: 8 })

function sampled(rollouts: Parameters<typeof selectPrefixes>[0]) {
  const plan = selectPrefixes(rollouts, recipe, { seed: 4, step: 7 })
  return { rollouts, plan, continuations: continuationsOf(rollouts, plan, (k) => (k % 3 === 0 ? 1 : 0)) }
}

test('one part is the step itself', () => {
  fc.assert(
    fc.property(batches(), (rollouts) => {
      const step = sampled(rollouts)
      expect(splitMiniBatches(step, 1)).toEqual([step])
    }),
    { numRuns: 20 },
  )
})

test('property: parts hold each rollout, fork and continuation once, questions whole, sizes within one', () => {
  fc.assert(
    fc.property(batches(), count, (rollouts, n) => {
      const step = sampled(rollouts)
      const parts = splitMiniBatches(step, n)
      const questions = parts.map((p) => [...new Set(p.rollouts.map((r) => r.question))])
      const all = new Set(rollouts.map((r) => r.question))
      expect(parts.length).toBe(Math.min(n, all.size))
      expect(questions.flat().length).toBe(all.size)
      const sizes = questions.map((q) => q.length)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      expect(new Set(parts.flatMap((p) => p.rollouts))).toEqual(new Set(rollouts))
      expect(new Set(parts.flatMap((p) => p.continuations))).toEqual(new Set(step.continuations))
      expect(parts.flatMap((p) => p.plan).length).toBe(step.plan.length)
      for (const part of parts) {
        const own = new Set(part.rollouts.map((r) => r.question))
        for (const entry of part.plan) expect(part.rollouts[entry.source]!.question).toBe(entry.question)
        for (const c of part.continuations) expect(own.has(c.question)).toBe(true)
      }
    }),
    { numRuns: 60 },
  )
})

test("property: a part's advantages are the step's; its weights add up to its own mean", () => {
  fc.assert(
    fc.property(batches(), count, fc.constantFrom('sequence-mean', 'token-mean'), (rollouts, n, aggregation) => {
      const settings: Recipe = { ...recipe, aggregation }
      const step = sampled(rollouts)
      const whole = planLoss({ ...step, recipe: settings, advantage })
      const advantages = new Map(step.rollouts.map((r, i) => [r, whole.rollouts[i]!.advantage]))
      for (const [k, c] of step.continuations.entries()) advantages.set(c, whole.continuations[k]!.advantage)
      for (const part of splitMiniBatches(step, n)) {
        const own = planLoss({ ...part, recipe: settings, advantage })
        const weights = [...own.rollouts, ...own.continuations]
        for (const [i, r] of [...part.rollouts, ...part.continuations].entries())
          expect(weights[i]!.advantage).toBe(advantages.get(r))
        const total = weights.reduce((sum, w) => sum + w.weights.reduce((a, b) => a + b, 0), 0)
        if (aggregation === 'token-mean') expect(total).toBeCloseTo(1, 4)
        else {
          // each question's rollouts weigh 1 together, each continuation 1/N more
          const groups = new Map<number, number>()
          for (const r of part.rollouts) groups.set(r.question, (groups.get(r.question) ?? 0) + 1)
          const extra = part.continuations.reduce((sum, c) => sum + 1 / groups.get(c.question)!, 0)
          expect(total).toBeCloseTo((groups.size + extra) / groups.size, 4)
        }
      }
    }),
    { numRuns: 60 },
  )
})
