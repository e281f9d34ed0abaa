import { expect, test } from 'vitest'
import { pearson, rankingAgreement, ranks, spearman } from './agreement.ts'
import { syntheticRollout } from './sample.ts'

test('ranks share places, correlations are those of scipy.stats', () => {
  expect(ranks([30, 10, 20, 10])).toEqual([4, 1.5, 3, 1.5])
  const [x, y] = [
    [1, 2, 3, 4, 5],
    [5, 6, 7, 8, 7],
  ]
  // scipy.stats.pearsonr, spearmanr
  expect(pearson(x, y)).toBeCloseTo(0.8320502943, 9)
  expect(spearman(x, y)).toBeCloseTo(0.8207826817, 9)
  expect(spearman([1, 10, 100], [-3, -2, -1])).toBeCloseTo(1, 12)
  expect([pearson([1, 2], [1, 2]), pearson([1, 1, 1], [1, 2, 3]), pearson([], [])]).toEqual([null, null, null])
})

test('over calls: rollouts without one do not count; surer calls of less entropy agree, the other way round they disagree', () => {
  const call = (sample: number, logprob: number, entropy: number) => {
    const rollout = syntheticRollout({ question: 0, sample, tool: true, reward: 0 })
    return {
      ...rollout,
      logprobs: rollout.logprobs.map(() => logprob),
      entropies: rollout.entropies.map(() => entropy),
    }
  }
  const none = syntheticRollout({ question: 0, sample: 9, tool: false, reward: 0 })
  const agreeing = [call(0, -0.1, 0.2), call(1, -0.5, 0.9), call(2, -1, 1.1)]
  expect(rankingAgreement([...agreeing, none])).toMatchObject({ spearman: expect.closeTo(1, 12), calls: 3 })
  const opposed = [call(0, -0.1, 1.1), call(1, -0.5, 0.9), call(2, -1, 0.2)]
  expect(rankingAgreement(opposed).spearman).toBeCloseTo(-1, 12)
  expect(rankingAgreement([none])).toEqual({ pearson: null, spearman: null, calls: 0 })
})
