/** What holds whatever the batch: the invariants of the method (arXiv 2605.28774, section 3) for every kind of fork, as properties. */
import { type Advantage, loadAdvantage } from '@axpo/advantage'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { batches, continuationsOf } from './batches.fixture.ts'
import {
  groupByQuestion,
  type LossPlan,
  planLoss,
  promptTokenCount,
  type Recipe,
  type ResamplePlan,
  type Rollout,
  recipes,
  type SequenceWeights,
  selectPrefixes,
} from './index.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})
const key = { seed: 4, step: 7 }
const runs = { numRuns: 60 }

/** Every recipe that can fork, whoever adds it, with budget for many. */
const forking: Recipe[] = Object.values(recipes)
  .filter((r: Recipe) => r.budget > 0)
  .map((r) => ({ ...r, budget: 0.8, continuations: r.continuations === 1 ? 1 : 3 }))
const branching = forking.filter((r) => r.forkAt === 'observation')
const recipe = fc.constantFrom(...forking)
/** Continuations that come on top of the group, which they may or may not join. */
const splitting = fc.constantFrom(...forking.filter((r) => !branching.includes(r)))
const apart = fc.constantFrom(...forking.filter((r) => !branching.includes(r) && r.separateGroups))

/** The same losses without any fork: what of a recipe is not about forks. */
const withoutForks = (settings: Recipe): Recipe => ({
  ...settings,
  budget: 0,
  ranking: 'mean-probability',
  prefixCredit: true,
  separateGroups: true,
  forkAt: 'call',
  adaptiveContinuations: false,
  rewardThreshold: 1,
  prefixWeight: 1,
  questionOrder: 'uncertainty',
})

interface Step {
  readonly rollouts: readonly Rollout[]
  readonly plan: readonly ResamplePlan[]
  readonly continuations: readonly Rollout[]
  readonly loss: LossPlan
}

function step(
  rollouts: readonly Rollout[],
  settings: Recipe,
  reward: (k: number) => number = (k) => (k % 3 === 0 ? 1 : 0),
): Step {
  const plan = selectPrefixes(rollouts, settings, key)
  const continuations = continuationsOf(rollouts, plan, reward)
  return {
    rollouts,
    plan,
    continuations,
    loss: planLoss({ rollouts, plan, continuations, recipe: settings, advantage }),
  }
}

const trained = ({ weights }: SequenceWeights): number[] => [...weights.keys()].filter((t) => weights[t] !== 0)
const grpoOf = (rollouts: readonly Rollout[], settings: Recipe) =>
  step(rollouts, { ...settings, budget: 0 }).loss.rollouts
const same = (a: SequenceWeights, b: SequenceWeights) =>
  a.advantage === b.advantage && Buffer.compare(Buffer.from(a.weights.buffer), Buffer.from(b.weights.buffer)) === 0

describe('advantages', () => {
  test('equal an independent reading of Eq. 2 to 4, to the bit', () => {
    fc.assert(
      fc.property(batches(), fc.array(fc.constantFrom(0, 1), { minLength: 5, maxLength: 5 }), (rollouts, rewards) => {
        const { plan, continuations, loss } = step(
          rollouts,
          { ...recipes.axpo, budget: 0.8, continuations: 3 },
          (k) => rewards[k % 5]!,
        )
        const normal = (r: readonly number[]) => [...advantage.group(r, [0, r.length])]
        const expected = rollouts.map((r) => {
          const group = rollouts.filter((o) => o.question === r.question)
          return normal(group.map((o) => o.reward))[group.indexOf(r)]!
        })
        for (const [p, { source, continuations: count }] of plan.entries()) {
          const own = continuations.filter((c) => c.parent!.id === rollouts[source]!.id)
          expect(own.length).toBe(count)
          const r = own.map((c) => c.reward)
          expect(own.map((c) => loss.continuations[continuations.indexOf(c)]!.advantage)).toEqual(normal(r))
          const group = rollouts.filter((o) => o.question === rollouts[source]!.question)
          const recovered = r.includes(1) ? 1 : 0
          expect(loss.recovered[p]).toBe(recovered)
          const modified = group.map((o) => (o === rollouts[source] ? recovered : o.reward))
          expected[source] = normal(modified)[group.indexOf(rollouts[source]!)]!
        }
        expect(loss.rollouts.map((s) => s.advantage)).toEqual(expected)
      }),
      runs,
    )
  })

  test('sum to 0 in every ordinary group, in every prefix and in every joint group', () => {
    fc.assert(
      fc.property(batches([0, 0.25, 1]), recipe, (rollouts, settings) => {
        // prefix credit takes one source at a time out of the joint group's sum: it is looked at without
        const { plan, loss, continuations } = step(rollouts, { ...settings, prefixCredit: settings.separateGroups })
        const grpo = grpoOf(rollouts, settings)
        const zero = (values: readonly SequenceWeights[]) =>
          expect(values.reduce((sum, s) => sum + s.advantage, 0)).toBeCloseTo(0, 9)
        for (const [question, group] of groupByQuestion(rollouts)) {
          zero(group.map((i) => grpo[i]!))
          if (settings.separateGroups) continue
          const own = loss.continuations.filter((_, k) => continuations[k]!.question === question)
          zero([...group.map((i) => loss.rollouts[i]!), ...own])
        }
        if (settings.separateGroups)
          for (const { source } of plan)
            zero(loss.continuations.filter((_, k) => continuations[k]!.parent!.id === rollouts[source]!.id))
      }),
      runs,
    )
  })

  test('prefix credit in a joint group changes the sources of its forks and nobody else', () => {
    fc.assert(
      fc.property(batches(), (rollouts) => {
        const [credit, none] = [true, false].map((prefixCredit) =>
          step(rollouts, { ...recipes['axpo-joint'], budget: 0.8, continuations: 3, prefixCredit }),
        )
        const sources = new Set(credit!.plan.map((p) => p.source))
        for (const [i, own] of credit!.loss.rollouts.entries()) {
          if (sources.has(i)) expect(own.advantage).toBeGreaterThanOrEqual(none!.loss.rollouts[i]!.advantage)
          else expect(same(own, none!.loss.rollouts[i]!)).toBe(true)
        }
        expect(credit!.loss.continuations).toEqual(none!.loss.continuations)
      }),
      runs,
    )
  })

  test('a constant added to all rewards and to the threshold changes nothing', () => {
    fc.assert(
      fc.property(batches(), recipe, fc.constantFrom(-1, 2, 0.5), (rollouts, settings, c) => {
        const plain = step(rollouts, settings)
        const shifted = step(
          rollouts.map((r) => ({ ...r, reward: r.reward + c })),
          { ...settings, rewardThreshold: (settings.rewardThreshold ?? 1) + c },
          (k) => (k % 3 === 0 ? 1 : 0) + c,
        )
        expect(shifted.plan).toEqual(plain.plan)
        expect(shifted.loss.recovered).toEqual(plain.loss.recovered)
        const values = ({ loss }: Step) => [...loss.rollouts, ...loss.continuations].map((s) => s.advantage)
        for (const [i, v] of values(plain).entries()) expect(values(shifted)[i]).toBeCloseTo(v, 9)
      }),
      runs,
    )
  })

  test('a permuted batch, questions interleaved, gets the permuted plan and the permuted weights', () => {
    fc.assert(
      fc.property(batches(), recipe, fc.infiniteStream(fc.nat()), (rollouts, settings, keys) => {
        const order = rollouts
          .map((_, i) => ({ i, key: keys.next().value as number }))
          .sort((a, b) => a.key - b.key || a.i - b.i)
          .map(({ i }) => i)
        const plain = step(rollouts, settings)
        const permuted = step(
          order.map((i) => rollouts[i]!),
          settings,
        )
        expect(permuted.plan.map((p) => ({ ...p, source: order[p.source]! }))).toEqual(plain.plan)
        for (const [j, i] of order.entries()) {
          expect(permuted.loss.rollouts[j]!.advantage).toBeCloseTo(plain.loss.rollouts[i]!.advantage, 9)
          expect(trained(permuted.loss.rollouts[j]!)).toEqual(trained(plain.loss.rollouts[i]!))
        }
      }),
      runs,
    )
  })

  test('degenerate groups are decided by exact equality: one reward in float32, any size, gives 0; a difference of one bit does not', () => {
    fc.assert(
      fc.property(batches([0]), fc.constantFrom(0.1, 1 / 3, 1.33, 2.7), (rollouts, value) => {
        const equal = rollouts.map((r) => ({ ...r, reward: Math.fround(value) }))
        for (const s of grpoOf(equal, recipes.grpo)) expect(s.advantage).toBe(0)
        const group = equal.filter((r) => r.question === equal[0]!.question)
        if (group.length < 2) return
        const nudged = equal.map((r, i) => (i === 0 ? { ...r, reward: r.reward + 2 ** -22 } : r))
        expect(grpoOf(nudged, recipes.grpo)[0]!.advantage).toBeGreaterThan(0)
      }),
      runs,
    )
  })
})

describe('streams and masks', () => {
  test('budget 0, or no question that qualifies, is GRPO to the bit', () => {
    fc.assert(
      fc.property(batches(), splitting, (rollouts, settings) => {
        const right = rollouts.map((r) => ({ ...r, reward: 1 }))
        for (const [batch, s] of [
          [rollouts, { ...settings, budget: 0 }],
          [right, settings],
        ] as const) {
          const { plan, loss } = step(batch, s)
          expect(plan).toEqual([])
          const grpo = step(batch, withoutForks(s)).loss.rollouts
          expect(loss.rollouts.every((own, i) => same(own, grpo[i]!))).toBe(true)
        }
      }),
      runs,
    )
  })

  test('resampling never changes a rollout that was not selected', () => {
    fc.assert(
      fc.property(batches(), apart, (rollouts, own) => {
        // a mean over all tokens of a step is another with more of them
        const settings: Recipe = { ...own, aggregation: 'sequence-mean' }
        const { plan, loss } = step(rollouts, settings)
        const grpo = grpoOf(rollouts, settings)
        const selected = new Set(plan.map((p) => p.source))
        for (const [i, own] of loss.rollouts.entries()) expect(selected.has(i) || same(own, grpo[i]!)).toBe(true)
      }),
      runs,
    )
  })

  test('tokens of a shared prefix get gradient from one stream: the source before the fork, its continuations after it', () => {
    fc.assert(
      fc.property(batches(), splitting, (rollouts, settings) => {
        const { plan, loss, continuations } = step(rollouts, settings)
        for (const [k, c] of continuations.entries())
          for (const t of trained(loss.continuations[k]!)) expect(t).toBeGreaterThanOrEqual(c.parent!.forkToken)
        for (const { source, prefixTokens } of plan) {
          const kept = prefixTokens > promptTokenCount(rollouts[source]!)
          for (const t of trained(loss.rollouts[source]!)) if (kept) expect(t).toBeLessThan(prefixTokens)
          expect(trained(loss.rollouts[source]!).length).toBeGreaterThan(0)
        }
        expect(new Set(plan.map((p) => p.source)).size).toBe(plan.length)
      }),
      runs,
    )
  })

  test('prompt and observation tokens never have weight; every sequence that trains weighs alike', () => {
    fc.assert(
      fc.property(batches(), recipe, (rollouts, own) => {
        const settings: Recipe = { ...own, aggregation: 'sequence-mean', constantLength: 0, prefixWeight: 1 }
        const { loss, continuations } = step(rollouts, settings)
        const sequences = [...rollouts, ...continuations]
        for (const [i, s] of [...loss.rollouts, ...loss.continuations].entries())
          for (const segment of sequences[i]!.segments)
            if (segment.kind === 'prompt' || segment.kind === 'observe')
              expect(s.weights.subarray(segment.start, segment.end).every((w) => w === 0)).toBe(true)
        const groups = groupByQuestion(rollouts)
        const members = (question: number) =>
          groups.get(question)!.length +
          (settings.forkAt === 'observation' ? continuations.filter((c) => c.question === question).length : 0)
        for (const [i, s] of [...loss.rollouts, ...loss.continuations].entries())
          expect(s.weights.reduce((a, b) => a + b, 0)).toBeCloseTo(
            1 / (groups.size * members(sequences[i]!.question)),
            6,
          )
        expect([...loss.rollouts, ...loss.continuations].flatMap(trained).length).toBe(loss.trainedTokens)
      }),
      runs,
    )
  })

  test('a source that is not recovered keeps the value GRPO gave it, on its prefix, with graded rewards too', () => {
    fc.assert(
      fc.property(batches([0, 0.25, 0.4, 0.75, 1]), apart, fc.constantFrom(0.5, 1), (rollouts, plain, threshold) => {
        const settings = { ...plain, rewardThreshold: threshold }
        const grpo = grpoOf(rollouts, settings)
        const lost = step(rollouts, settings, (k) => [0, 0.25, 0.4][k % 3]!)
        for (const [p, { source }] of lost.plan.entries()) {
          expect(rollouts[source]!.reward).toBeLessThan(threshold)
          expect(lost.loss.recovered[p]).toBe(0)
          expect(lost.loss.rollouts[source]!.advantage).toBe(grpo[source]!.advantage)
        }
        const won = step(rollouts, settings, () => 1)
        for (const [p, { source, prefixTokens }] of won.plan.entries()) {
          expect(won.loss.recovered[p]).toBe(1)
          if (prefixTokens > promptTokenCount(rollouts[source]!))
            expect(won.loss.rollouts[source]!.advantage).toBeGreaterThanOrEqual(grpo[source]!.advantage)
        }
      }),
      runs,
    )
  })

  test('without prefix credit a source keeps the value of GRPO, recovered or not', () => {
    fc.assert(
      fc.property(batches(), apart, (rollouts, settings) => {
        const { plan, loss } = step(rollouts, { ...settings, prefixCredit: false }, () => 1)
        const grpo = grpoOf(rollouts, settings)
        for (const { source } of plan) expect(loss.rollouts[source]!.advantage).toBe(grpo[source]!.advantage)
      }),
      runs,
    )
  })

  test('branches (forkAt observation) and their sources train all of their sampled tokens', () => {
    fc.assert(
      fc.property(batches(), fc.constantFrom(...branching), (rollouts, settings) => {
        const { loss, continuations } = step(rollouts, settings)
        for (const [i, r] of [...rollouts, ...continuations].entries())
          expect(trained([...loss.rollouts, ...loss.continuations][i]!).length).toBe(r.trainable.filter(Boolean).length)
      }),
      runs,
    )
  })

  test('constant length: each token of a rollout weighs 1 / (Q N L)', () => {
    fc.assert(
      fc.property(batches(), fc.constantFrom(10, 192), (rollouts, constantLength) => {
        const { loss } = step(rollouts, { ...recipes['dr-grpo'], constantLength })
        const groups = groupByQuestion(rollouts)
        for (const [i, s] of loss.rollouts.entries()) {
          const w = Math.fround(1 / (groups.size * groups.get(rollouts[i]!.question)!.length * constantLength))
          expect(new Set(trained(s).map((t) => s.weights[t]))).toEqual(new Set([w]))
        }
      }),
      runs,
    )
  })
})
