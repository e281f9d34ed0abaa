import { type Advantage, loadAdvantage } from '@axpo/advantage'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { continuationsOf } from './batches.fixture.ts'
import {
  checkRecipe,
  diagnose,
  findRecipe,
  planLoss,
  prefixBudget,
  type Recipe,
  type ResamplePlan,
  type Rollout,
  recipes,
  selectPrefixes,
  sequenceLoss,
  spendBreadthFirst,
  triggeredSources,
} from './index.ts'
import { syntheticRollout } from './sample.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})
const key = { seed: 1, step: 2 }

/** A batch: for each question, each rollout's (tool, reward, probability). */
const batch = fc
  .array(
    fc.array(
      fc.record({
        tool: fc.boolean(),
        reward: fc.constantFrom(0, 1),
        probability: fc.double({ min: 0.05, max: 1, noNaN: true }),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((groups) => groups.flatMap((g, question) => g.map((r, sample) => syntheticRollout({ ...r, question, sample }))))

function continuationsFor(
  rollouts: readonly Rollout[],
  plan: readonly ResamplePlan[],
  right: (k: number) => boolean,
): Rollout[] {
  return plan
    .flatMap((p) => Array.from({ length: p.continuations }, (_, j) => ({ p, j })))
    .map(({ p, j }, k) =>
      syntheticRollout({
        question: p.question,
        sample: 1000 + j,
        tool: true,
        reward: right(k) ? 1 : 0,
        parent: rollouts[p.source]!,
        callArguments: `{"k":${j % 2}}`,
      }),
    )
}

const wide: Recipe = { ...recipes.axpo, budget: 1, continuations: 2 }

function fullPlan(rollouts: readonly Rollout[], recipe: Recipe, right: (k: number) => boolean = (k) => k % 3 === 0) {
  const plan = selectPrefixes(rollouts, recipe, key)
  const continuations = continuationsFor(rollouts, plan, right)
  return { plan, continuations, loss: planLoss({ rollouts, plan, continuations, recipe, advantage }) }
}

describe('selection', () => {
  test('trigger: tool-using rollouts exist and all are wrong', () => {
    const make = (...rs: [boolean, number][]) =>
      rs.map(([tool, reward], sample) => syntheticRollout({ question: 0, sample, tool, reward }))
    const all = (rs: Rollout[]) => triggeredSources(rs, [...rs.keys()])
    expect(all(make([true, 0], [false, 1], [true, 0]))).toEqual([0, 2])
    expect(all(make([true, 0], [true, 1]))).toEqual([])
    expect(all(make([false, 0], [false, 0]))).toEqual([])
  })

  test('property: never over budget, every selected source is triggered, no source twice', () => {
    fc.assert(
      fc.property(
        batch,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 4 }),
        (rollouts, budget, continuations) => {
          const recipe = { ...recipes.axpo, budget, continuations }
          const plan = selectPrefixes(rollouts, recipe, key)
          expect(plan.length * continuations).toBeLessThanOrEqual(budget * rollouts.length + 1e-6)
          expect(plan.length).toBeLessThanOrEqual(prefixBudget(rollouts.length, recipe))
          expect(new Set(plan.map((p) => p.source)).size).toBe(plan.length)
          for (const p of plan) {
            const group = rollouts.flatMap((r, i) => (r.question === p.question ? [i] : []))
            expect(triggeredSources(rollouts, group)).toContain(p.source)
            expect(p.prefixTokens).toBe(6)
          }
        },
      ),
    )
  })

  test('property: breadth first: nobody gets a second prefix before everybody triggered has a first; within a question the most uncertain first', () => {
    fc.assert(
      fc.property(batch, (rollouts) => {
        const plan = selectPrefixes(rollouts, wide, key)
        const rounds = plan.map((p, at) => plan.slice(0, at).filter((q) => q.question === p.question).length)
        for (let i = 1; i < rounds.length; i++) expect(rounds[i]!).toBeGreaterThanOrEqual(rounds[i - 1]!)
        for (const question of new Set(plan.map((p) => p.question))) {
          const own = plan.filter((p) => p.question === question).map((p) => p.uncertainty)
          expect(own).toEqual([...own].sort((a, b) => b - a))
        }
      }),
    )
  })

  test('the order of the questions: by their best candidate, most uncertain first, and the same in every round; or as they come', () => {
    const candidate = (question: number, source: number, uncertainty: number) => ({ question, source, uncertainty })
    const byQuestion = [
      [candidate(0, 0, 0.2), candidate(0, 1, 0.8)],
      [candidate(1, 2, 0.5), candidate(1, 3, 0.4)],
      [candidate(2, 4, 0.1), candidate(2, 5, 0.9), candidate(2, 6, 0.3)],
    ]
    const sources = (budget: number, order?: 'uncertainty' | 'batch') =>
      spendBreadthFirst(byQuestion, budget, order).map((c) => c.source)
    // second round: 0.3, 0.2, 0.4 in the order of 0.9, 0.8, 0.5
    expect(sources(9)).toEqual([5, 1, 2, 6, 0, 3, 4])
    expect(sources(2, 'uncertainty')).toEqual([5, 1])
    expect(sources(9, 'batch')).toEqual([1, 2, 5, 0, 3, 6, 4])
    expect(sources(2, 'batch')).toEqual([1, 2])
  })

  test('property: the first round visits the questions in the order that the recipe asks for', () => {
    fc.assert(
      fc.property(batch, fc.constantFrom('uncertainty', 'batch'), (rollouts, questionOrder) => {
        const plan = selectPrefixes(rollouts, { ...wide, questionOrder }, key)
        const first = plan.filter((p, at) => plan.findIndex((q) => q.question === p.question) === at)
        for (const [at, p] of first.slice(1).entries())
          if (questionOrder === 'batch') expect(p.question).toBeGreaterThan(first[at]!.question)
          else expect(p.uncertainty).toBeLessThanOrEqual(first[at]!.uncertainty)
      }),
    )
  })

  test('the budget of the paper: 16 questions x 8 rollouts, rho 0.25, K 4 -> 8 prefixes', () => {
    expect(prefixBudget(128, recipes.axpo)).toBe(8)
    expect(prefixBudget(15, recipes.axpo)).toBe(0)
  })

  test('random ranking depends on the key only', () => {
    const rollouts = Array.from({ length: 40 }, (_, i) =>
      syntheticRollout({ question: 0, sample: i, tool: true, reward: 0 }),
    )
    const sources = (seed: number) =>
      selectPrefixes(rollouts, { ...wide, ranking: 'random' }, { seed, step: 0 }).map((p) => p.source)
    expect(sources(1)).toEqual(sources(1))
    expect(sources(1)).not.toEqual(sources(2))
  })
})

describe('weights', () => {
  test('property: budget 0 is GRPO bit for bit, and so is a batch with no triggered question', () => {
    fc.assert(
      fc.property(batch, (rollouts) => {
        const grpo = fullPlan(rollouts, recipes.grpo).loss
        expect(fullPlan(rollouts, { ...recipes.axpo, budget: 0 }).loss).toEqual(grpo)
        const untriggered = rollouts.map((r) => ({
          ...r,
          reward: r.segments.some((s) => s.kind === 'act') ? 1 : r.reward,
        }))
        expect(fullPlan(untriggered, wide).loss).toEqual(fullPlan(untriggered, recipes.grpo).loss)
      }),
    )
  })

  test('property: resampling never changes an unselected rollout; a selected source trains its prefix only; prompt and observation never', () => {
    fc.assert(
      fc.property(batch, (rollouts) => {
        const grpo = fullPlan(rollouts, recipes.grpo).loss
        const { plan, loss, continuations } = fullPlan(rollouts, wide)
        const selected = new Map(plan.map((p) => [p.source, p]))
        for (const [i, r] of rollouts.entries()) {
          const own = loss.rollouts[i]!
          const p = selected.get(i)
          if (!p) expect(own).toEqual(grpo.rollouts[i])
          for (let t = 0; t < r.tokens.length; t++)
            expect(own.weights[t]! > 0).toBe(r.trainable[t] === 1 && (!p || t < p.prefixTokens))
        }
        for (const [k, c] of continuations.entries())
          for (let t = 0; t < c.tokens.length; t++)
            expect(loss.continuations[k]!.weights[t]! > 0).toBe(c.trainable[t] === 1 && t >= 6)
      }),
    )
  })

  test('property: an unrecovered source keeps GRPO value on its prefix; a recovered one gets more', () => {
    fc.assert(
      fc.property(batch, fc.boolean(), (rollouts, right) => {
        const grpo = fullPlan(rollouts, recipes.grpo).loss
        const { plan, loss } = fullPlan(rollouts, wide, () => right)
        for (const [p, entry] of plan.entries()) {
          expect(loss.recovered[p]).toBe(right ? 1 : 0)
          const before = grpo.rollouts[entry.source]!.advantage
          if (!right) expect(loss.rollouts[entry.source]!.advantage).toBe(before)
          else expect(loss.rollouts[entry.source]!.advantage).toBeGreaterThanOrEqual(before)
        }
      }),
    )
  })

  test('property: permuting the batch permutes advantages', () => {
    fc.assert(
      fc.property(batch, (rollouts) => {
        const plain = fullPlan(rollouts, recipes.grpo).loss
        const reversed = fullPlan([...rollouts].reverse(), recipes.grpo).loss
        for (const [i, s] of plain.rollouts.entries())
          expect(reversed.rollouts[rollouts.length - 1 - i]!.advantage).toBeCloseTo(s.advantage, 9)
      }),
    )
  })

  test('sequence-mean: each rollout weighs 1 / (Q N), each selected prefix and continuation as much; token-mean: all tokens alike', () => {
    const rollouts = [0, 1].flatMap((question) =>
      [0, 1].map((sample) => syntheticRollout({ question, sample, tool: question === 0, reward: 0 })),
    )
    const { loss, continuations } = fullPlan(rollouts, { ...wide, continuations: 2, budget: 0.5 })
    expect(continuations.length).toBe(2)
    for (const s of [...loss.rollouts, ...loss.continuations])
      expect(s.weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1 / 4, 6)
    const flat = fullPlan(rollouts, { ...wide, budget: 0.5, aggregation: 'token-mean' }).loss
    const every = [...flat.rollouts, ...flat.continuations].flatMap((s) => [...s.weights].filter((w) => w > 0))
    expect(new Set(every).size).toBe(1)
    expect(every.length).toBe(flat.trainedTokens)
    expect(every.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5)
  })

  test('prefixWeight scales all of L_AXPO, prefix and continuations, and nothing else, in every aggregation', () => {
    const rollouts = [0, 1].flatMap((question) =>
      [0, 1].map((sample) => syntheticRollout({ question, sample, tool: question === 0, reward: 0 })),
    )
    const sums = (recipe: Recipe) => {
      const { plan, loss } = fullPlan(rollouts, recipe)
      const of = (s: { readonly weights: Float32Array }) => s.weights.reduce((a, b) => a + b, 0)
      const sources = new Set(plan.map((p) => p.source))
      return {
        selected: [...loss.rollouts.filter((_, i) => sources.has(i)), ...loss.continuations].map(of),
        others: loss.rollouts.filter((_, i) => !sources.has(i)).map(of),
      }
    }
    for (const aggregation of ['sequence-mean', 'token-mean', 'token-sum'] as const) {
      const plain = sums({ ...wide, budget: 0.5, aggregation })
      expect(plain.selected).toHaveLength(3)
      expect(sums({ ...wide, budget: 0.5, aggregation, prefixWeight: 1 })).toEqual(plain)
      const halved = sums({ ...wide, budget: 0.5, aggregation, prefixWeight: 0.5 })
      expect(halved.others).toEqual(plain.others)
      expect(halved.selected).toEqual(plain.selected.map((w) => w / 2))
    }
    // nothing of the source is kept: it stays an ordinary rollout, only its continuations are scaled
    const scratch = { ...wide, budget: 0.5, forkAt: 'prompt', prefixWeight: 0.5 } as const
    const plan = selectPrefixes(rollouts, scratch, key)
    const loss = planLoss({
      rollouts,
      plan,
      continuations: continuationsOf(rollouts, plan, () => 1),
      recipe: scratch,
      advantage,
    })
    const total = (s: { readonly weights: Float32Array }) => s.weights.reduce((a, b) => a + b, 0)
    for (const s of loss.rollouts) expect(total(s)).toBeCloseTo(1 / 4, 6)
    for (const s of loss.continuations) expect(total(s)).toBeCloseTo(1 / 8, 6)
  })

  test('ablations: no credit leaves GRPO value on a recovered prefix; joint groups normalise over N + K', () => {
    const rollouts = [
      syntheticRollout({ question: 0, sample: 0, tool: true, reward: 0 }),
      syntheticRollout({ question: 0, sample: 1, tool: false, reward: 1 }),
    ]
    const grpo = fullPlan(rollouts, recipes.grpo).loss
    const noCredit = fullPlan(rollouts, { ...wide, prefixCredit: false }, (k) => k === 0).loss
    expect(noCredit.rollouts[0]!.advantage).toBe(grpo.rollouts[0]!.advantage)
    const expected = advantage.group([0, 1, 1, 0], [0, 4])
    const jointly = (more: Partial<typeof wide>) =>
      fullPlan(rollouts, { ...wide, separateGroups: false, ...more }, (k) => k === 0).loss
    const plain = jointly({ prefixCredit: false })
    expect([...plain.rollouts, ...plain.continuations].map((s) => s.advantage)).toEqual([...expected])
    // with credit only the prefix differs: its source counts as right
    const joint = jointly({})
    expect(joint.rollouts[0]!.advantage).toBe(advantage.group([1, 1, 1, 0], [0, 4])[0])
    expect(joint.rollouts[0]!.advantage).toBeGreaterThan(0)
    expect([...joint.rollouts.slice(1), ...joint.continuations].map((s) => s.advantage)).toEqual([...expected.slice(1)])
  })

  test('refuses continuations that do not belong to the plan', () => {
    const rollouts = [
      syntheticRollout({ question: 0, sample: 0, tool: true, reward: 0 }),
      syntheticRollout({ question: 0, sample: 1, tool: true, reward: 0 }),
    ]
    const plan = selectPrefixes(rollouts, wide, key)
    const wrong = continuationsFor(rollouts, [{ ...plan[0]!, source: 1 - plan[0]!.source }], () => true)
    expect(() => planLoss({ rollouts, plan, continuations: wrong, recipe: wide, advantage })).toThrow(/must fork 0-/)
    expect(() => planLoss({ rollouts, plan, continuations: [], recipe: wide, advantage })).toThrow(
      /asks for 2 continuations, got 0/,
    )
  })
})

describe('loss', () => {
  const sequence = (advantage: number, weights: number[]) => ({
    advantage,
    start: 0,
    end: weights.length,
    weights: Float32Array.from(weights),
  })
  const f = (...values: number[]) => Float32Array.from(values)

  test('per-token values of TRL and verl without dual clip (epsilon .2/.28)', () => {
    const recipe = { clipLow: 0.2, clipHigh: 0.28, klWeight: 0 }
    const losses = (a: number, logp: number[], old: number[]) =>
      logp.map(
        (_, t) =>
          sequenceLoss(
            sequence(
              a,
              logp.map((_, i) => (i === t ? 1 : 0)),
            ),
            recipe,
            f(...logp),
            f(...old),
            null,
          ).loss,
      )
    const close = (got: number[], want: number[]) => {
      for (const [i, w] of want.entries()) expect(got[i]).toBeCloseTo(w, 5)
    }
    close(losses(1, [-1, -0.5, -2, -0.1], [-1.1, -0.5, -1, -0.1]), [-1.105170918, -1, -0.367879441, -1])
    close(losses(-1, [-0.7, -0.2, -1.5, -0.3], [-0.7, -1.7, -1.5, -0.3]), [1, 4.48168907, 1, 1])
  })

  test('k3 values: d = 0.1, -0.1, 1, -1', () => {
    const kl = (d: number) =>
      sequenceLoss(sequence(0, [1]), { clipLow: 0.2, clipHigh: 0.4, klWeight: 1 }, f(-2), f(-2), f(-2 + d)).klSum
    for (const [d, k3] of [
      [0.1, 0.005170918],
      [-0.1, 0.004837418],
      [1, 0.718281828],
      [-1, 0.367879441],
    ] as const)
      expect(kl(d)).toBeCloseTo(k3, 6)
  })

  test('property: dLoss/dlogp equals central differences away from the clip corners', () => {
    const real = fc.double({ min: -3, max: -0.05, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(fc.record({ logp: real, old: real, ref: real, w: fc.double({ min: 0.1, max: 1, noNaN: true }) }), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.constantFrom(-1.5, -0.3, 0, 0.4, 2),
        (tokens, a) => {
          const recipe = { clipLow: 0.2, clipHigh: 0.4, klWeight: 0.1 }
          fc.pre(tokens.every((t) => [0.8, 1.4].every((edge) => Math.abs(Math.exp(t.logp - t.old) - edge) > 0.02)))
          const run = (shift: number, at: number) =>
            sequenceLoss(
              sequence(
                a,
                tokens.map((t) => t.w),
              ),
              recipe,
              f(...tokens.map((t, i) => t.logp + (i === at ? shift : 0))),
              f(...tokens.map((t) => t.old)),
              f(...tokens.map((t) => t.ref)),
            )
          const { dLossDLogp } = run(0, -1)
          for (let i = 0; i < tokens.length; i++) {
            const up = f(tokens[i]!.logp + 1e-2)[0]!
            const down = f(tokens[i]!.logp - 1e-2)[0]!
            const slope = (run(1e-2, i).loss - run(-1e-2, i).loss) / (up - down)
            expect(Math.abs(slope - dLossDLogp[i]!)).toBeLessThan(2e-3 * Math.max(1, Math.abs(slope)))
          }
        },
      ),
    )
  })

  test('clipped tokens carry no gradient and are counted; a missing log-probability stops the step', () => {
    const recipe = { clipLow: 0.2, clipHigh: 0.4, klWeight: 0 }
    const { dLossDLogp, clipped, tokens } = sequenceLoss(sequence(1, [1, 1]), recipe, f(0, -1), f(-1, -1), null)
    expect([...dLossDLogp]).toEqual([0, -1])
    expect([clipped, tokens]).toEqual([1, 2])
    expect(() => sequenceLoss(sequence(1, [1]), recipe, f(Number.NaN), f(-1), null)).toThrow(/must be finite, got NaN/)
  })
})

test('diagnostics of a hand-made step', () => {
  const rollouts = [
    syntheticRollout({ question: 0, sample: 0, tool: true, reward: 0 }),
    syntheticRollout({ question: 0, sample: 1, tool: false, reward: 1 }),
    syntheticRollout({ question: 1, sample: 0, tool: true, reward: 1 }),
    syntheticRollout({ question: 1, sample: 1, tool: false, reward: 0 }),
  ]
  const { plan, continuations, loss } = fullPlan(rollouts, { ...wide, budget: 0.5 }, (k) => k === 1)
  const d = diagnose({ rollouts, plan, continuations, lossPlan: loss })
  expect(d).toMatchObject({
    reward: 0.5,
    toolUseRate: 0.5,
    allWrongToolRate: 0.5,
    allWrongNoToolRate: 0.5,
    triggeredQuestions: 1,
    selectedPrefixes: 1,
    extraRollouts: 2,
    recoveryRate: 1,
    distinctCallsPerPrefix: 2,
    calledPrefixes: 1,
  })
  expect(d.entropyActNats).toBeCloseTo(0.7, 5)
  expect(d.responseTokens).toBe((7 + 4 + 7 + 4) / 4)
})

test('an unknown recipe and a value out of range are refused', () => {
  expect(() => findRecipe('ppo')).toThrow(/unknown name "ppo"\. Choose one of: .*axpo, grpo/)
  expect(() => checkRecipe({ ...recipes.axpo, budget: -1 })).toThrow(/budget must be >= 0, got -1/)
})
