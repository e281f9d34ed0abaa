/** Candidates, ranking and budget for every kind of fork. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batches } from './batches.fixture.ts'
import {
  allotContinuations,
  groupByQuestion,
  prefixBudget,
  type Recipe,
  type Rollout,
  recipes,
  selectPrefixes,
} from './index.ts'
import { syntheticRollout } from './sample.ts'

const key = { seed: 4, step: 7 }
const all = { budget: 8 }
const kinds: Recipe[] = Object.values(recipes).filter((r) => r.budget > 0)
const make = (...list: Omit<Parameters<typeof syntheticRollout>[0], 'question' | 'sample'>[]): Rollout[] =>
  list.map((r, sample) => syntheticRollout({ ...r, question: 0, sample }))
const forks = (rollouts: readonly Rollout[], recipe: Recipe) =>
  selectPrefixes(rollouts, { ...recipe, ...all }, key).map((p) => [p.source, p.prefixTokens])

describe('where forks lie', () => {
  const wrong = { tool: true, reward: 0 }
  test('call: after the opening tag of the first call; prompt: nothing sampled is kept', () => {
    const rollouts = make({ ...wrong, calls: 2 }, { tool: false, reward: 1 })
    expect(forks(rollouts, recipes.axpo)).toEqual([[0, 6]])
    expect(forks(rollouts, recipes['axpo-scratch'])).toEqual([[0, 3]])
  })

  test('any-call: one fork a source, at its least probable call', () => {
    const second = make({ ...wrong, calls: 2, probability: (t) => (t >= 11 && t < 14 ? 0.1 : 0.5) })
    expect(second[0]!.segments.filter((s) => s.kind === 'act').map((s) => s.start)).toEqual([5, 11])
    expect(forks(second, recipes['axpo-any-call'])).toEqual([[0, 12]])
    expect(forks(make({ ...wrong, calls: 2 }), recipes['axpo-any-call'])).toEqual([[0, 6]])
  })

  test('call-or-answer: each subgroup qualifies by itself; no-tool rollouts fork before their answer', () => {
    const [tool, none] = [wrong, { tool: false, reward: 0 }]
    expect(forks(make(tool, none), recipes['axpo-no-tool-too']).sort()).toEqual([
      [0, 6],
      [1, 5],
    ])
    expect(forks(make({ ...tool, reward: 1 }, none), recipes['axpo-no-tool-too'])).toEqual([[1, 5]])
    expect(forks(make(tool, { ...none, reward: 1 }, none), recipes['axpo-no-tool-too'])).toEqual([[0, 6]])
    const cut = make(none).map((r) => ({
      ...r,
      segments: r.segments.map((s) => (s.kind === 'answer' ? { ...s, kind: 'failure' as const } : s)),
    }))
    expect(forks(cut, recipes['axpo-no-tool-too'])).toEqual([])
  })

  test('observation: after a tool answer, right or wrong, more often the more entropy has risen', () => {
    const rollouts = Array.from({ length: 400 }, (_, i) => make({ tool: true, reward: i % 2 })[0]!).map(
      (r, sample) => ({
        ...r,
        sample,
        id: `0-${sample}`,
      }),
    )
    const after = (nats: number) =>
      forks(
        rollouts.map((r) => ({
          ...r,
          entropies: Float32Array.from(r.trainable, (s, t) => (s ? (t >= 10 ? nats : 0.5) : 0)),
        })),
        recipes.arpo,
      )
    expect(after(0.5).every(([, at]) => at === 10)).toBe(true)
    // draw - 0.2 * rise <= 0.5
    expect(after(0.5).length / 400).toBeCloseTo(0.5, 1)
    expect(after(1.5).length / 400).toBeCloseTo(0.7, 1)
    expect(after(3).length).toBe(400)
    expect(forks(make({ tool: false, reward: 0 }), recipes.arpo)).toEqual([])
  })

  test('rewards are wrong below the threshold', () => {
    const rollouts = make({ tool: true, reward: 0.4 })
    expect(forks(rollouts, { ...recipes.axpo, rewardThreshold: 0.4 })).toEqual([])
    expect(forks(rollouts, recipes['axpo-graded'])).toEqual([[0, 6]])
  })
})

describe('ranking', () => {
  const uncertainty = {
    'mean-probability': (r: Rollout, t: number) => -Math.exp(r.logprobs[t]!),
    entropy: (r: Rollout, t: number) => r.entropies[t]!,
  }

  test.each(['mean-probability', 'entropy'] as const)(
    'property: %s over the whole call, its tags included, most uncertain first',
    (ranking) => {
      fc.assert(
        fc.property(batches(), (plain) => {
          const rollouts = plain.map((r) => ({ ...r, entropies: r.logprobs.map((v) => Math.abs(Math.sin(37 * v))) }))
          const plan = selectPrefixes(rollouts, { ...recipes.axpo, ...all, ranking }, key)
          for (const p of plan) {
            const r = rollouts[p.source]!
            const act = r.segments.find((s) => s.kind === 'act')!
            let sum = 0
            for (let t = act.start; t < act.end; t++) sum += uncertainty[ranking](r, t)
            expect(p.uncertainty).toBeCloseTo(sum / (act.end - act.start), 9)
          }
          for (const question of new Set(plan.map((p) => p.question))) {
            const own = plan.filter((p) => p.question === question).map((p) => p.uncertainty)
            expect(own).toEqual([...own].sort((a, b) => b - a))
          }
        }),
        { numRuns: 60 },
      )
    },
  )

  test('property: random ranking of a question does not depend on the other questions', () => {
    fc.assert(
      fc.property(batches(), (rollouts) => {
        const order = (batch: readonly Rollout[], question: number) =>
          selectPrefixes(batch, { ...recipes['axpo-random'], ...all }, key)
            .filter((p) => p.question === question)
            .map((p) => batch[p.source]!.id)
        for (const question of groupByQuestion(rollouts).keys())
          expect(order(rollouts, question)).toEqual(
            order(
              rollouts.filter((r) => r.question === question),
              question,
            ),
          )
      }),
      { numRuns: 60 },
    )
  })
})

describe('budget', () => {
  test('property: never exceeded, and breadth-first, whatever the fork, the fraction and K', () => {
    fc.assert(
      fc.property(
        batches(),
        fc.constantFrom(...kinds),
        fc.double({ min: 0, max: 1.5, noNaN: true }),
        fc.integer({ min: 1, max: 5 }),
        (rollouts, kind, budget, continuations) => {
          const plan = selectPrefixes(rollouts, { ...kind, budget, continuations }, key)
          const spent = plan.reduce((n, p) => n + p.continuations, 0)
          expect(spent).toBeLessThanOrEqual(budget * rollouts.length + 1e-6)
          const rounds = plan.map((p, at) => plan.slice(0, at).filter((o) => o.question === p.question).length)
          expect(rounds).toEqual([...rounds].sort((a, b) => a - b))
          const offered = selectPrefixes(rollouts, { ...kind, budget: 100 * continuations, continuations }, key)
          // whoever has a second fork waits until everybody has a first
          if (rounds.some((r) => r > 0))
            expect(new Set(plan.map((p) => p.question))).toEqual(new Set(offered.map((p) => p.question)))
          if (!kind.adaptiveContinuations)
            expect(plan.length).toBe(Math.min(offered.length, prefixBudget(rollouts.length, { budget, continuations })))
        },
      ),
      { numRuns: 100 },
    )
  })

  test('property: adaptive continuations keep the total, stay between 2 and 2 K, favour the most uncertain by at most one', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.nat(20), fc.integer({ min: 1, max: 8 }), (forkCount, prefixes, continuations) => {
        const allotted = allotContinuations(forkCount, prefixes, { continuations, adaptiveContinuations: true })
        const total = allotted.reduce((a, b) => a + b, 0)
        expect(total).toBeLessThanOrEqual(prefixes * continuations)
        expect(allotted.length).toBeLessThanOrEqual(forkCount)
        expect(allotted).toEqual([...allotted].sort((a, b) => b - a))
        for (const k of allotted) expect(k >= Math.min(2, continuations) && k <= 2 * continuations).toBe(true)
        if (allotted.length > 0) expect(allotted[0]! - allotted.at(-1)!).toBeLessThanOrEqual(1)
        // all of it is spent, unless every fork has its 2 K
        if (allotted.some((k) => k < 2 * continuations)) expect(total).toBe(prefixes * continuations)
      }),
    )
    expect(allotContinuations(3, 8, { continuations: 4, adaptiveContinuations: true })).toEqual([8, 8, 8])
    expect(allotContinuations(5, 8, { continuations: 4, adaptiveContinuations: true })).toEqual([7, 7, 6, 6, 6])
    expect(allotContinuations(40, 8, { continuations: 4, adaptiveContinuations: true })).toEqual(Array(16).fill(2))
    expect(allotContinuations(40, 8, { continuations: 4 })).toEqual(Array(8).fill(4))
  })
})
