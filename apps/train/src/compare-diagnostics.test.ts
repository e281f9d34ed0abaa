import { describe, expect, it } from 'vitest'
import { diagnosticNames, figureNamed, firstAndLast, rankedCallsOf, trailing } from './compare-diagnostics.ts'
import type { Cell } from './compare-read.ts'
import type { StepMetrics } from './rl-step.ts'

/** Metrics as a run of an earlier version may have left them: fields are missing, rates of nothing are null. */
const cellOf = (metrics: readonly Partial<StepMetrics>[]) =>
  ({
    metrics: metrics.map((m, i) => ({ step: i + 1, extraRollouts: 0, toolErrors: {}, ...m })),
    spent: metrics.map((_, i) => ({ step: i + 1, rollouts: 16, tokens: 0 })),
  }) as unknown as Cell

describe('figures along training', () => {
  it('what was not measured is left out, never 0', () => {
    const cell = cellOf([{ recoveryRate: null }, { recoveryRate: 0.5, selectedPrefixes: 4 }, {}, {}])
    expect(trailing(cell, figureNamed('recovery'), 2)).toEqual([null, 0.5, 0.5, null])
    expect(trailing(cell, figureNamed('klNats'), 2)).toEqual([null, null, null, null])
    const none = { mean: null, seeds: 0 }
    expect(firstAndLast([cell], figureNamed('klNats'), 4)).toEqual({ first: none, last: none })
  })

  it('steps count by what they measured', () => {
    const cell = cellOf([
      { rankingPearson: 0.9, rankedCalls: 9 },
      { rankingPearson: 0.1, rankedCalls: 3 },
      { rankingPearson: null, rankedCalls: 2 },
    ])
    expect(trailing(cell, figureNamed('rankingPearson'), 3)).toEqual([0.9, 0.7, 0.7].map((v) => expect.closeTo(v, 12)))
    const plain = cellOf([{ responseTokens: 10 }, { responseTokens: 20 }])
    expect(trailing(plain, figureNamed('responseTokens'), 2)).toEqual([10, 15])
  })

  it('calls of metrics that do not say them are the tool-using rollouts, continuations not among them', () => {
    const cell = cellOf([{ toolUseRate: 0.25, extraRollouts: 8 }, { toolUseRate: null }, { rankedCalls: 5 }])
    expect(rankedCallsOf(cell)).toEqual([2, 0, 5])
    expect(() => rankedCallsOf({ ...cell, spent: [] })).toThrow(/must have a line for step 1/)
  })

  it('errors by kind: every kind that a run met, 0 where a step had none of it', () => {
    const cells = [cellOf([{ toolErrors: { timeout: 2 } }, {}]), cellOf([{ toolErrors: { 'invalid-json': 1 } }, {}])]
    const kinds = diagnosticNames(cells).filter((name) => name.startsWith('toolErrors'))
    expect(kinds).toEqual(['toolErrors invalid-json', 'toolErrors timeout'])
    expect(trailing(cells[0]!, figureNamed(kinds[1]!), 1)).toEqual([2, 0])
    expect(trailing(cells[1]!, figureNamed(kinds[1]!), 1)).toEqual([0, 0])
    expect(() => figureNamed('nothing')).toThrow(/must be a figure of training, got nothing/)
  })

  it('beginning and end: each seed for itself, then over the seeds that measured it', () => {
    const steps = Array.from({ length: 10 }, (_, i) => i)
    const a = cellOf(steps.map((i) => ({ reward: i, allWrongNoToolRate: i < 5 ? 0.2 : null })))
    const b = cellOf(steps.map((i) => ({ reward: i + 2, allWrongNoToolRate: 0.4 })))
    expect(firstAndLast([a, b], figureNamed('reward'), 10)).toEqual({
      first: { mean: 1.5, seeds: 2 },
      last: { mean: 9.5, seeds: 2 },
    })
    const { first, last } = firstAndLast([a, b], figureNamed('allWrongNoTool'), 10)
    expect(first).toEqual({ mean: expect.closeTo(0.3, 12), seeds: 2 })
    expect(last).toEqual({ mean: 0.4, seeds: 1 })
  })
})
