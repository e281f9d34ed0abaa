import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import {
  type Advantage,
  type AdvantageOptions,
  type AxpoInput,
  defaultAdvantageOptions,
  loadAdvantage,
} from './index.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})

const trl: AdvantageOptions = { ddof: 1, epsilon: 1e-4, scale: 'group' }
const one = (rewards: number[], options?: AdvantageOptions) => [
  ...advantage.group(rewards, [0, rewards.length], options),
]

/** Start of each group and the end of the last. */
function offsetsOf(groups: readonly (readonly number[])[]): number[] {
  const offsets = [0]
  for (const g of groups) offsets.push(offsets.at(-1)! + g.length)
  return offsets
}

/** Independent reference: Eq. 2 and 4 written from the paper. */
function reference(rewards: number[], { ddof, epsilon, scale }: AdvantageOptions): number[] {
  if (rewards.every((r) => r === rewards[0])) return rewards.map(() => 0)
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length
  const std = Math.sqrt(rewards.reduce((a, r) => a + (r - mean) ** 2, 0) / (rewards.length - ddof))
  return rewards.map((r) => (scale === 'group' ? (r - mean) / (std + epsilon) : r - mean))
}

test('goldens of TRL, verl and population std, number for number', () => {
  const cases: [number[], AdvantageOptions, number[]][] = [
    [[1, 0, 0, 0], trl, [1.4997001, -0.4999]],
    [[1, 0, 0, 0], defaultAdvantageOptions, [1.499997, -0.499999]],
    [[1, 1, 0, 0], trl, [0.8658754]],
    [[1, 1, 0, 0], defaultAdvantageOptions, [0.8660239]],
    [[1, 0, 0, 0, 0, 0, 0, 0], trl, [2.4741739, -0.3534534]],
    [[1, 0, 0, 0, 0, 0, 0, 0], defaultAdvantageOptions, [2.4748667, -0.3535524]],
    [[0.5, 1, 0.25, 0.25], trl, [0, 1.4138137, -0.7069068]],
    [[1, 0, 0, 0], { ddof: 0, epsilon: 1e-6, scale: 'group' }, [1.7320468, -0.5773489]],
    [[1, 0, 0, 0], { ddof: 1, epsilon: 1e-6, scale: 'none' }, [0.75, -0.25]],
  ]
  for (const [rewards, options, expected] of cases)
    for (const [i, value] of expected.entries()) expect(one(rewards, options)[i]).toBeCloseTo(value, 6)
})

test('degenerate groups are exact: 31 equal rewards of float32 1.33, single rollouts, empty groups', () => {
  expect(one(Array(31).fill(Math.fround(1.33)))).toEqual(Array(31).fill(0))
  expect(one([0.7])).toEqual([0])
  expect([...advantage.group([], [0, 0, 0])]).toEqual([])
})

const rewardsOf = fc.array(fc.constantFrom(0, 1, 0.25, 0.5), { minLength: 1, maxLength: 12 })
const options = fc.record({
  ddof: fc.constantFrom<0 | 1>(0, 1),
  epsilon: fc.constantFrom(1e-6, 1e-4),
  scale: fc.constantFrom<'group' | 'none'>('group', 'none'),
})

type Fixed<T> = { [K in keyof T]: T[K] extends ArrayLike<number> ? number[] : T[K] }

/** Groups, selected sources and continuation rewards. */
const axpoInput = fc
  .array(fc.array(fc.constantFrom(0, 1), { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 5 })
  .chain((groups) => {
    const rewards = groups.flat()
    const offsets = offsetsOf(groups)
    const prefix = fc.record({
      source: fc.nat(rewards.length - 1),
      rewards: fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 4 }),
    })
    return fc.array(prefix, { maxLength: 4 }).map((prefixes): Fixed<AxpoInput> & { groups: number[][] } => ({
      groups,
      rewards,
      offsets,
      sources: prefixes.map((p) => p.source),
      continuationRewards: prefixes.flatMap((p) => p.rewards),
      continuationOffsets: offsetsOf(prefixes.map((p) => p.rewards)),
    }))
  })

const close = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length)
  for (let i = 0; i < a.length; i++) expect(a[i]).toBeCloseTo(b[i]!, 9)
}

test('property: equals an independent reference, group by group', () => {
  fc.assert(
    fc.property(fc.array(rewardsOf, { maxLength: 6 }), options, (groups, o) => {
      const offsets = offsetsOf(groups)
      close(
        advantage.group(groups.flat(), offsets, o),
        groups.flatMap((g) => reference(g, o)),
      )
    }),
  )
})

test('property: a normalised group sums to 0', () => {
  fc.assert(
    fc.property(rewardsOf, options, (r, o) => {
      expect(one(r, o).reduce((a, b) => a + b, 0)).toBeCloseTo(0, 9)
    }),
  )
})

test('property: permuting rollouts permutes advantages', () => {
  fc.assert(
    fc.property(rewardsOf, fc.infiniteStream(fc.nat()), (r, keys) => {
      const order = r
        .map((_, i) => ({ i, key: keys.next().value as number }))
        .sort((a, b) => a.key - b.key || a.i - b.i)
      const plain = one(r)
      close(
        one(order.map(({ i }) => r[i]!)),
        order.map(({ i }) => plain[i]!),
      )
    }),
  )
})

test('property: adding a constant (exact in binary) to rewards changes nothing', () => {
  fc.assert(fc.property(rewardsOf, fc.constantFrom(1, -2, 8, 0.5), (r, c) => close(one(r.map((x) => x + c)), one(r))))
})

test('property: no prefix selected = GRPO to the bit; selecting never changes another rollout', () => {
  fc.assert(
    fc.property(axpoInput, options, (input, o) => {
      expect([...advantage.axpo(input, o).rollouts]).toEqual([...advantage.group(input.rewards, input.offsets, o)])
    }),
  )
})

test('property: continuations are normalised inside their prefix, recovery is 1 exactly when one is right', () => {
  fc.assert(
    fc.property(axpoInput, options, (input, o) => {
      const { continuations, recovered } = advantage.axpo(input, o)
      for (let p = 0; p < input.sources.length; p++) {
        const own = Array.from(input.continuationRewards).slice(
          input.continuationOffsets[p]!,
          input.continuationOffsets[p + 1]!,
        )
        close(
          [...continuations].slice(input.continuationOffsets[p]!, input.continuationOffsets[p + 1]!),
          reference(own, o),
        )
        expect(recovered[p]).toBe(own.includes(1) ? 1 : 0)
      }
    }),
  )
})

test('property: the source prefix is one substitution at a time, on its own copy of the rewards', () => {
  fc.assert(
    fc.property(axpoInput, options, (input, o) => {
      const { prefixes, recovered } = advantage.axpo(input, o)
      for (let p = 0; p < input.sources.length; p++) {
        const source = input.sources[p]!
        const g = input.groups.findIndex((_, k) => source < input.offsets[k + 1]!)
        const copy = [...input.groups[g]!]
        copy[source - input.offsets[g]!] = recovered[p]!
        expect(prefixes[p]).toBeCloseTo(reference(copy, o)[source - input.offsets[g]!]!, 9)
      }
    }),
  )
})

test('property: a given substitute stands in the place of the source; its own reward leaves the value of GRPO to the bit', () => {
  fc.assert(
    fc.property(axpoInput, options, fc.constantFrom(0.25, 0.5, 2), (input, o, value) => {
      const own = advantage.axpo({ ...input, substitutes: input.sources.map((i) => input.rewards[i]!) }, o)
      expect([...own.prefixes]).toEqual(input.sources.map((i) => own.rollouts[i]!))
      const { prefixes, continuations } = advantage.axpo({ ...input, substitutes: input.sources.map(() => value) }, o)
      expect([...continuations]).toEqual([...own.continuations])
      for (const [p, source] of input.sources.entries()) {
        const g = input.groups.findIndex((_, k) => source < input.offsets[k + 1]!)
        const copy = [...input.groups[g]!]
        copy[source - input.offsets[g]!] = value
        expect(prefixes[p]).toBeCloseTo(reference(copy, o)[source - input.offsets[g]!]!, 9)
      }
    }),
  )
})

test('property: a wrong source that was not recovered keeps the value GRPO gave it, to the bit', () => {
  fc.assert(
    fc.property(axpoInput, options, (input, o) => {
      const { prefixes, recovered, rollouts } = advantage.axpo(input, o)
      for (let p = 0; p < input.sources.length; p++) {
        const source = input.sources[p]!
        if (recovered[p] === 0 && input.rewards[source] === 0) expect(prefixes[p]).toBe(rollouts[source])
      }
    }),
  )
})

test('memory grows: 100,000 rollouts in one call', () => {
  const rewards = Float64Array.from({ length: 100_000 }, (_, i) => (i % 8 === 0 ? 1 : 0))
  const offsets = Int32Array.from({ length: 12_501 }, (_, g) => g * 8)
  expect(advantage.group(rewards, offsets)[0]).toBeCloseTo(2.4748667, 6)
})

test('bad input: says what, where and how to repair', () => {
  expect(() => advantage.group([0, Number.NaN], [0, 2])).toThrow(/must be finite, got NaN at 1\. Grade/)
  expect(() => advantage.group([0, 1], [0, 3])).toThrow(/offsets must end at 2, got 3/)
  expect(() => advantage.group([0, 1], [0, 2, 1])).toThrow(/non-decreasing/)
  expect(() =>
    advantage.axpo({
      rewards: [0],
      offsets: [0, 1],
      sources: [4],
      continuationRewards: [1],
      continuationOffsets: [0, 1],
    }),
  ).toThrow(/source 0 must index/)
  const input = { rewards: [0], offsets: [0, 1], sources: [0], continuationRewards: [1], continuationOffsets: [0, 1] }
  expect(() => advantage.axpo({ ...input, substitutes: [] })).toThrow(/substitutes must have 1 entries, got 0/)
})
