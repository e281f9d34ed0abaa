/** Random batches for the property tests: questions with any ids, rollouts with or without tools, several calls, graded rewards, a probability for every token. */
import fc from 'fast-check'
import type { Rollout } from './rollout.ts'
import { syntheticContinuation, syntheticRollout } from './sample.ts'
import type { ResamplePlan } from './selection.ts'

/** A probability that no other token shares, so that no ranking is a tie. */
const distinct = (...key: number[]): number => {
  let x = 0.37
  for (const k of key) x = (x * 997 + (k + 1) * 0.618034) % 1
  return 0.05 + 0.9 * x
}

export function batches(rewards: readonly number[] = [0, 1]): fc.Arbitrary<Rollout[]> {
  const rollout = fc.record({
    tool: fc.boolean(),
    calls: fc.integer({ min: 1, max: 3 }),
    reward: fc.constantFrom(...rewards),
    salt: fc.nat(1000),
  })
  return fc
    .uniqueArray(fc.record({ question: fc.nat(99), group: fc.array(rollout, { minLength: 1, maxLength: 8 }) }), {
      minLength: 1,
      maxLength: 6,
      selector: (q) => q.question,
    })
    .map((questions) =>
      questions.flatMap(({ question, group }) =>
        group.map((r, sample) =>
          syntheticRollout({ ...r, question, sample, probability: (t) => distinct(question, sample, t, r.salt) }),
        ),
      ),
    )
}

/** The continuations that a plan asks for, with rewards taken in turn. */
export function continuationsOf(
  rollouts: readonly Rollout[],
  plan: readonly ResamplePlan[],
  reward: (k: number) => number,
): Rollout[] {
  return plan
    .flatMap((p) => Array<ResamplePlan>(p.continuations).fill(p))
    .map((p, k) =>
      syntheticContinuation({
        parent: rollouts[p.source]!,
        tokenCount: p.prefixTokens,
        sample: 1000 + k,
        reward: reward(k),
        callArguments: `{"k":${k}}`,
      }),
    )
}
