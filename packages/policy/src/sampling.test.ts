/** A step as jobs: what is asked for, in which order, and what is learnt from. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  planSampling,
  type Recipe,
  type Rollout,
  recipes,
  type SampleJob,
  type StepKey,
  settleSampling,
} from './index.ts'
import { syntheticContinuation, syntheticRollout } from './sample.ts'

const key: StepKey = { seed: 1, step: 0, questions: 4 }

/** Runs jobs as a trainer does; rewards and tool use by question and sample. */
function run(recipe: Recipe, world: (question: number, sample: number) => { tool: boolean; reward: number }) {
  const sampled: Rollout[] = []
  const rounds: SampleJob<Rollout>[][] = []
  for (let jobs = planSampling(recipe, key, sampled); jobs.length > 0; jobs = planSampling(recipe, key, sampled)) {
    rounds.push(jobs)
    sampled.push(
      ...jobs.map(({ question, sample, prefix }) =>
        prefix
          ? syntheticContinuation({ ...prefix, sample, reward: sample % 2 })
          : syntheticRollout({ ...world(question, sample), question, sample }),
      ),
    )
  }
  return { sampled, rounds, step: settleSampling(recipe, key, sampled) }
}

const mixed = (question: number, sample: number) => ({
  tool: sample % 3 === 0,
  reward: sample % 3 === 0 ? 0 : (question + sample) % 2,
})

describe('jobs', () => {
  test('GRPO is one round of B x N; 2x rollouts has twice as many', () => {
    const { rounds, step } = run(recipes.grpo, mixed)
    expect(rounds.map((r) => r.length)).toEqual([32])
    expect(rounds[0]!.map((j) => [j.question, j.sample, j.prefix])).toContainEqual([3, 7, null])
    expect(step).toMatchObject({ plan: [], continuations: [], dropped: [] })
    expect(run(recipes['grpo-2x'], mixed).rounds.map((r) => r.length)).toEqual([64])
  })

  test('AXPO adds a round of forks: in plan order, keys 1000, 1001, ... over the whole step, parents as the plan says', () => {
    const { rounds, step, sampled } = run(recipes.axpo, mixed)
    expect(rounds.map((r) => r.length)).toEqual([32, 8])
    expect(rounds[1]!.map((j) => j.sample)).toEqual([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007])
    expect(step.plan.map((p) => p.continuations)).toEqual([4, 4])
    for (const [k, job] of rounds[1]!.entries()) {
      const p = step.plan[k >> 2]!
      expect(job.prefix).toEqual({ parent: sampled[p.source], tokenCount: p.prefixTokens })
      expect(step.continuations[k]!.parent).toEqual({ id: sampled[p.source]!.id, forkToken: p.prefixTokens })
    }
  })

  test('a number of continuations that differs from prefix to prefix keeps the keys apart', () => {
    const { rounds } = run({ ...recipes['axpo-adaptive'], budget: 0.6 }, mixed)
    expect(new Set(rounds[1]!.map((j) => j.sample)).size).toBe(rounds[1]!.length)
  })
})

describe('refills', () => {
  const same = (reward: number) => ({ tool: false, reward })

  test('uninformative questions are replaced by fresh ones, up to B that teach; the others are dropped, not lost', () => {
    const { rounds, step } = run(recipes['grpo-dynamic'], (q, s) => ([0, 2, 5].includes(q) ? same(1) : same(s % 2)))
    expect(rounds.map((r) => [r[0]!.question, r.length])).toEqual([
      [0, 32],
      [4, 16],
      [6, 8],
    ])
    expect([...new Set(step.rollouts.map((r) => r.question))]).toEqual([1, 3, 4, 6])
    expect([...new Set(step.dropped.map((r) => r.question))]).toEqual([0, 2, 5])
  })

  test('rounds are limited; with nothing to learn from, everything is kept', () => {
    const { rounds, step } = run(recipes['grpo-dynamic'], () => same(0))
    expect(rounds.map((r) => r.length)).toEqual([32, 32, 32, 32])
    expect([step.rollouts.length, step.dropped.length]).toEqual([128, 0])
  })

  test('forks come after the refills, from the rollouts that are kept', () => {
    const recipe = { ...recipes.axpo, refillRounds: 1 }
    const { rounds, step } = run(recipe, (q, s) => (q < 2 ? same(0) : mixed(q, s)))
    expect(rounds.map((r) => [r.length, r[0]!.prefix !== null])).toEqual([
      [32, false],
      [16, false],
      [8, true],
    ])
    for (const p of step.plan) expect(step.rollouts[p.source]!.question).toBe(p.question)
    expect(step.plan.every((p) => p.question >= 2)).toBe(true)
  })

  test('property: never more questions than (1 + rounds) x B; kept and dropped together are all that was sampled', () => {
    fc.assert(
      fc.property(fc.nat(4), fc.infiniteStream(fc.boolean()), (refillRounds, draw) => {
        const dull = new Map<number, boolean>()
        const isDull = (q: number) => {
          if (!dull.has(q)) dull.set(q, draw.next().value as boolean)
          return dull.get(q)!
        }
        const { sampled, step } = run({ ...recipes.grpo, rollouts: 2, refillRounds }, (q, s) =>
          same(isDull(q) ? 0 : s % 2),
        )
        expect(sampled.length).toBeLessThanOrEqual((1 + refillRounds) * key.questions * 2)
        expect(step.rollouts.length + step.dropped.length).toBe(sampled.length)
        const kept = new Set(step.rollouts.map((r) => r.question))
        const informative = [...dull].filter(([, d]) => !d).length
        if (refillRounds > 0 && informative > 0) {
          expect(kept.size).toBe(Math.min(informative, key.questions))
          for (const q of kept) expect(dull.get(q)).toBe(false)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a step that is not sampled is refused', () => {
    expect(() => settleSampling(recipes.grpo, key, [])).toThrow(/needs 32 rollouts first, got 0/)
  })
})
