/** The algebra of the thinking-acting gap, on the real policy layer (project notes: p = tool rate, q = right given a call, g = right without). */
import { type Advantage, loadAdvantage } from '@axpo/advantage'
import { beforeAll, describe, expect, test } from 'vitest'
import { diagnose, planLoss, type Recipe, recipes } from '../index.ts'
import {
  callValue,
  createTable,
  runToy,
  sampleToyStep,
  type ToyRollout,
  toyGradient,
  toyRollout,
  toyStart,
  toyValue,
} from './index.ts'
import { argumentRow, decisionRow, normalise, rowOf } from './world.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})

const calling = (r: ToyRollout) => r.segments.some((s) => s.kind === 'act')

/** Mean push of one GRPO update on the decision to call, over many steps of an unchanged policy. */
function decisionPush(guess: number, steps: number): number {
  const table = createTable(1)
  const world = { seed: 1, guess }
  let push = 0
  for (let step = 0; step < steps; step++) {
    const { rollouts } = sampleToyStep(table, world, recipes.grpo, { seed: 1, step, questions: 16 })
    const lossPlan = planLoss({ rollouts, plan: [], continuations: [], recipe: recipes.grpo, advantage })
    const gradient = toyGradient(table, table, recipes.grpo, rollouts, lossPlan.rollouts)
    for (const row of decisionRow) push -= gradient[rowOf(row).start + 1]! / steps
  }
  return push
}

test('GRPO pushes the decision up where q > g, down where q < g, further the wider the gap', () => {
  const [above, below, farBelow] = [0.1, 0.5, 0.7].map((g) => decisionPush(g, 150))
  expect(above!).toBeGreaterThan(0)
  expect(below!).toBeLessThan(0)
  expect(farBelow!).toBeLessThan(below!)
})

test("the gradient of an entropy bonus is the slope of the trained tokens' entropy", () => {
  const recipe = { ...recipes.grpo, klWeight: 0, entropyBonus: 0.7 }
  const table = createTable(3)
  const { rollouts } = sampleToyStep(table, { seed: 3, guess: 0.4 }, recipe, { seed: 3, step: 0, questions: 4 })
  const { rollouts: weights } = planLoss({ rollouts, plan: [], continuations: [], recipe, advantage })
  // rewards out of the way: what is left is the bonus
  const flat = weights.map((w) => ({ ...w, advantage: 0 }))
  const gradient = toyGradient(table, table, recipe, rollouts, flat)
  const bonus = () => {
    normalise(table)
    let sum = 0
    for (const [i, r] of rollouts.entries())
      for (const [t, w] of flat[i]!.weights.entries())
        if (r.rows[t]! >= 0) sum -= 0.7 * w * table.entropies[r.rows[t]!]!
    return sum
  }
  for (const row of decisionRow) {
    const at = rowOf(row).start
    table.logits[at]! += 1e-4
    const above = bonus()
    table.logits[at]! -= 2e-4
    const slope = (above - bonus()) / 2e-4
    table.logits[at]! += 1e-4
    expect(gradient[at]).not.toBe(0)
    expect(slope).toBeCloseTo(gradient[at]!, 5)
  }
})

test('mini-batches and passes of the recipe are taken: one update, three, and six end in different tables', () => {
  const run = (miniBatches: number, epochs: number) => {
    const recipe = { ...recipes.axpo, miniBatches, epochs }
    return [...runToy(advantage, { recipe, seed: 1, steps: 3, guess: 0.4 }).table.logits]
  }
  expect(run(1, 1)).toEqual([
    ...runToy(advantage, { recipe: recipes.axpo, seed: 1, steps: 3, guess: 0.4 }).table.logits,
  ])
  expect(new Set([run(1, 1), run(3, 1), run(1, 2), run(3, 2)].map(String)).size).toBe(4)
})

test('all-wrong rates of subgroups as diagnose reports them: ((1 - p q)^G - (1 - p)^G) / (1 - (1 - p)^G), and with 1 - p and g for those without a tool', () => {
  const [p, q, g, group] = [0.3, 0.33, 0.4, 8]
  // what reading alone decides has the same chance q in every context
  const table = createTable(2, { ...toyStart, toolRate: p, readRight: q })
  const readWell = (r: ToyRollout) => r.options[6] === 1
  const tool = { allWrong: 0, subgroups: 0 }
  const none = { allWrong: 0, subgroups: 0 }
  for (let step = 0; step < 400; step++) {
    const sampled = sampleToyStep(table, { seed: 2, guess: g }, recipes.grpo, { seed: 2, step, questions: 16 })
    const rollouts = sampled.rollouts.map((r) => (calling(r) ? { ...r, reward: readWell(r) ? 1 : 0 } : r))
    const input = { rollouts, plan: [], continuations: [] }
    const d = diagnose({ ...input, lossPlan: planLoss({ ...input, recipe: recipes.grpo, advantage }) })
    const groups = Array.from({ length: 16 }, (_, i) => rollouts.slice(i * group, (i + 1) * group))
    for (const [sums, rate, used] of [
      [tool, d.allWrongToolRate, calling],
      [none, d.allWrongNoToolRate, (r: ToyRollout) => !calling(r)],
    ] as const) {
      const subgroups = groups.filter((rs) => rs.some(used)).length
      sums.allWrong += rate! * subgroups
      sums.subgroups += subgroups
    }
  }
  for (const [{ allWrong, subgroups }, rate, right] of [
    [tool, p, q],
    [none, 1 - p, g],
  ] as const) {
    const empty = (1 - rate) ** group
    const expected = ((1 - rate * right) ** group - empty) / (1 - empty)
    expect(Math.abs(allWrong / subgroups - expected)).toBeLessThan(
      4 * Math.sqrt((expected * (1 - expected)) / subgroups),
    )
    if (rate === p) expect(expected).toBeCloseTo(0.4, 2)
  }
})

describe('300 steps, three settings of g', () => {
  const seeds = [1, 2]
  const last = (name: 'grpo' | 'axpo', guess: number) =>
    seeds.map((seed) => {
      const run = runToy(advantage, { recipe: recipes[name], seed, steps: 300, guess })
      return { ...run.curve.at(-1)!, extra: run.continuations / run.rollouts }
    })

  test('g = 0.25, below q: no gap, both learn the tool', () => {
    for (const name of ['grpo', 'axpo'] as const)
      for (const { toolRate, accuracy } of last(name, 0.25)) {
        expect(toolRate).toBeGreaterThan(0.97)
        expect(accuracy).toBeGreaterThan(0.85)
      }
  })

  test.each([0.4, 0.5])('g = %s, above q: GRPO gives the tool up and stays at g, AXPO recovers it', (guess) => {
    for (const { toolRate, callRight, accuracy } of last('grpo', guess)) {
      expect(toolRate).toBeLessThan(0.3)
      expect(callRight).toBeLessThan(0.5)
      expect(accuracy).toBeLessThan(guess + 0.1)
    }
    for (const { toolRate, accuracy, extra } of last('axpo', guess)) {
      expect(toolRate).toBeGreaterThan(0.9)
      expect(accuracy).toBeGreaterThan(0.8)
      expect(extra).toBeLessThan(0.25)
    }
  })
})

test('20 seeds x 300 steps of AXPO fit in 20 seconds of one core', () => {
  const before = process.cpuUsage().user
  runToy(advantage, { recipe: recipes.axpo, seed: 7, steps: 300, guess: 0.4 })
  expect(((process.cpuUsage().user - before) / 1e6) * 20).toBeLessThan(20)
})

test('prefixWeight and questionOrder act on what is learnt', () => {
  const run = (delta: Partial<Recipe>) =>
    `${runToy(advantage, { recipe: { ...recipes.axpo, ...delta }, seed: 1, steps: 3, guess: 0.4 }).table.logits}`
  expect(run({ prefixWeight: 1, questionOrder: 'uncertainty' })).toBe(run({}))
  expect(new Set([run({}), run({ prefixWeight: 0.5 }), run({ questionOrder: 'batch' })]).size).toBe(3)
})

test('runs repeat to the bit', () => {
  const curve = () => runToy(advantage, { recipe: recipes['axpo-random'], seed: 5, steps: 5, guess: 0.4 }).curve
  expect(curve()).toEqual(curve())
})

describe('Proposition 1: a right tool-using rollout among n', () => {
  const table = createTable(4)
  const world = { seed: 4, guess: 0.4 }
  const n = 4
  const trials = 3000
  const close = (hits: number, expected: number) =>
    expect(Math.abs(hits / trials - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / trials) + 1e-9)
  const right = (r: ToyRollout) => r.reward === 1 && calling(r)
  const key = (step: number) => ({ seed: 4, step, questions: 1 })
  const rollout = (step: number, sample: number, prefix: { parent: ToyRollout; tokenCount: number } | null) =>
    toyRollout(table, world, key(step), { question: 0, sample, prefix })
  const source = (step: number) => {
    for (let sample = 0; ; sample++) {
      const r = rollout(step, sample, null)
      if (calling(r)) return r
    }
  }

  test.each([0, 1, 2, 3])('step %i: 1 - (1 - p(t1))^n when resampling, 1 - (1 - q p_tool)^n afresh', (step) => {
    const parent = source(step)
    const toolRate = Math.exp(table.logprobs[rowOf(parent.rows[2]!).start + 1]!)
    const context = argumentRow.indexOf(parent.rows[3]!)
    const success = callValue(table, world, context)
    const hits = (prefix: { parent: ToyRollout; tokenCount: number } | null) => {
      let count = 0
      for (let t = 0; t < trials; t++)
        for (let k = 0; k < n; k++)
          if (right(rollout(step, 1000 + t * n + k, prefix))) {
            count++
            break
          }
      return count
    }
    const [resampled, afresh] = [hits({ parent, tokenCount: 3 }), hits(null)]
    close(resampled, 1 - (1 - success) ** n)
    close(afresh, 1 - (1 - toolRate * success) ** n)
    expect(resampled).toBeGreaterThan(afresh)
  })
})

test("AXPO's diagnostics of a start: about three calls in ten, recovery as 1 - (1 - q)^K says", () => {
  const table = createTable(1)
  const world = { seed: 1, guess: 0.4 }
  let recovered = 0
  let prefixes = 0
  let calls = 0
  for (let step = 0; step < 60; step++) {
    const sampled = sampleToyStep(table, world, recipes.axpo, { seed: 1, step, questions: 16 })
    const lossPlan = planLoss({ ...sampled, recipe: recipes.axpo, advantage })
    const d = diagnose({ ...sampled, lossPlan })
    recovered += (d.recoveryRate ?? 0) * d.selectedPrefixes
    prefixes += d.selectedPrefixes
    calls += d.toolUseRate! / 60
  }
  expect(calls).toBeCloseTo(toyValue(table, world).toolRate, 1)
  // selected questions are the harder ones: below 1 - (1 - mean q)^4, above what one call would reach
  expect(recovered / prefixes).toBeGreaterThan(0.35)
  expect(recovered / prefixes).toBeLessThan(1 - (1 - toyValue(table, world).callRight) ** 4)
})
