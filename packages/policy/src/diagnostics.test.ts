import { expect, test } from 'vitest'
import { distinctCalls } from './diagnostics.ts'
import { syntheticRollout } from './sample.ts'

test('distinct calls: a continuation without a call is no call of its own, a prefix without any is left out', () => {
  const parent = syntheticRollout({ question: 0, sample: 0, tool: true, reward: 0 })
  const made = (sample: number, callArguments: string) =>
    syntheticRollout({ question: 0, sample, tool: true, reward: 0, callArguments, parent })
  const none = { ...syntheticRollout({ question: 0, sample: 9, tool: false, reward: 0 }), parent: null }
  expect(distinctCalls([made(1, '1'), made(2, '2'), made(3, '1')])).toBe(2)
  expect(distinctCalls([made(1, '1'), none, none, made(2, '1')])).toBe(1)
  expect(distinctCalls([none, none])).toBeNull()
})
