/** The other toy worlds, where calls are right in part or come in pairs, and what the options made for them do there. */
import { type Advantage, loadAdvantage } from '@axpo/advantage'
import { beforeAll, describe, expect, test } from 'vitest'
import { diagnose, planLoss, type Recipe, recipes } from '../index.ts'
import {
  createTable,
  runToy,
  sampleToyStep,
  type ToyKindName,
  type ToyRollout,
  type ToyStart,
  toyKinds,
  toyValue,
} from './index.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})

/** Steps of the policy that a world begins with, for some seeds. */
function startSteps(kind: ToyKindName, recipe: Recipe, seeds: number, steps: number, changed: Partial<ToyStart> = {}) {
  const { calls, partialReward } = toyKinds[kind]
  const start = { ...toyKinds[kind].start, ...changed }
  return Array.from({ length: seeds }, (_, i) => i + 1).flatMap((seed) => {
    const [table, world] = [createTable(seed, start), { seed, guess: 0.4, calls, partialReward }]
    return Array.from({ length: steps }, (_, step) => ({
      ...sampleToyStep(table, world, recipe, { seed, step, questions: 16 }),
      value: toyValue(table, world),
    }))
  })
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
const calling = (r: ToyRollout) => r.segments.some((s) => s.kind === 'act')

test.each(['plain', 'graded', 'two-calls'] as const)(
  '%s: the exact values are what rollouts have on average',
  (kind) => {
    const steps = startSteps(kind, recipes.grpo, 2, 120)
    const rollouts = steps.flatMap((s) => s.rollouts)
    const near = (got: readonly number[], expected: number) =>
      expect(Math.abs(mean(got) - expected)).toBeLessThan(4 * Math.sqrt(0.25 / got.length))
    const exact = (of: 'toolRate' | 'callRight' | 'accuracy') => mean(steps.map((s) => s.value[of]))
    near(
      rollouts.map((r) => (calling(r) ? 1 : 0)),
      exact('toolRate'),
    )
    near(
      rollouts.filter(calling).map((r) => (r.reward === 1 ? 1 : 0)),
      exact('callRight'),
    )
    near(
      rollouts.map((r) => r.reward),
      exact('accuracy'),
    )
  },
)

test('graded: rewards of 0, 0.6 and 1; two-calls: two calls with an observation each, of which a continuation keeps the first', () => {
  const graded = startSteps('graded', recipes.grpo, 1, 20).flatMap((s) => s.rollouts)
  expect(new Set(graded.map((r) => r.reward))).toEqual(new Set([0, 0.6, 1]))
  expect(new Set(graded.filter((r) => !calling(r)).map((r) => r.reward))).toEqual(new Set([0, 1]))
  const steps = startSteps('two-calls', recipes['axpo-any-call'], 1, 20)
  for (const { rollouts, plan, continuations } of steps) {
    for (const r of rollouts.filter(calling))
      expect(r.segments.map((s) => s.kind)).toEqual(['prompt', 'think', 'act', 'observe', 'act', 'observe', 'answer'])
    for (const [i, c] of continuations.entries()) {
      const { source, prefixTokens } = plan[Math.floor(i / 4)]!
      expect([3, 7]).toContain(prefixTokens)
      expect([...c.options.subarray(0, prefixTokens)]).toEqual([...rollouts[source]!.options.subarray(0, prefixTokens)])
    }
  }
})

describe('a threshold on graded rewards', () => {
  test('axpo goes on asking for more where a call was right in part; axpo-graded counts it as right and recovers more', () => {
    const of = (recipe: Recipe) =>
      startSteps('graded', recipe, 2, 30).map(({ value: _, ...sampled }) =>
        diagnose({
          ...sampled,
          lossPlan: planLoss({ ...sampled, recipe, advantage }),
          rewardThreshold: recipe.rewardThreshold ?? 1,
        }),
      )
    const [axpo, graded] = [of(recipes.axpo), of(recipes['axpo-graded'])]
    const triggered = (d: typeof axpo) => mean(d.map((s) => s.triggeredQuestions))
    const recovered = (d: typeof axpo) => mean(d.map((s) => s.recoveryRate!))
    expect(triggered(graded)).toBeLessThan(triggered(axpo) - 2)
    expect(recovered(graded)).toBeGreaterThan(recovered(axpo) + 0.3)
  })

  test('g = 0.4: axpo-graded keeps the tool in 300 steps, axpo less, GRPO not at all', () => {
    const toolRate = (recipe: Recipe) =>
      mean(
        [1, 2].map(
          (seed) => runToy(advantage, { recipe, seed, steps: 300, guess: 0.4, kind: 'graded' }).curve.at(-1)!.toolRate,
        ),
      )
    const [grpo, axpo, graded] = [recipes.grpo, recipes.axpo, recipes['axpo-graded']].map(toolRate)
    expect(grpo!).toBeLessThan(0.1)
    expect(graded!).toBeGreaterThan(0.95)
    expect(axpo!).toBeLessThan(graded! - 0.2)
  })
})

test('a fork at any call: half of them at the second, and more are recovered than from the first call', () => {
  const of = (recipe: Recipe) => {
    const steps = startSteps('two-calls', recipe, 4, 40)
    const recovered = steps.flatMap(({ value: _, ...s }) => [...planLoss({ ...s, recipe, advantage }).recovered])
    const second = steps.flatMap((s) => s.plan.map((p) => (p.prefixTokens === 7 ? 1 : 0)))
    return { recovered: mean(recovered), second: mean(second) }
  }
  const [axpo, anyCall] = [of(recipes.axpo), of(recipes['axpo-any-call'])]
  expect(axpo.second).toBe(0)
  expect(anyCall.second).toBeCloseTo(0.5, 1)
  expect(anyCall.recovered).toBeGreaterThan(axpo.recovered + 0.03)
})

test('the opening tag counts in the mean probability of the first call: a fork lies at the second only where the first was likely', () => {
  const atSecond = (firstRight: number) =>
    startSteps('two-calls', recipes['axpo-any-call'], 1, 40, { firstRight }).flatMap((s) =>
      s.plan.filter((p) => p.prefixTokens === 7),
    ).length
  expect(atSecond(0.6)).toBe(0)
  expect(atSecond(0.95)).toBeGreaterThan(atSecond(0.8))
})
