import { expect, test } from 'vitest'
import { checkQuiet, describeLoad, readLoad } from './load.ts'

test('figures are not written beside others, unless asked for and said', () => {
  const busy = { others: 0.6, average: 0.1 }
  expect(() => checkQuiet(busy, false)).toThrow(
    'at most 0.5 processors busy, got 0.60. End them and wait, or add --busy',
  )
  expect(() => checkQuiet(busy, true)).not.toThrow()
  expect(describeLoad(busy, 2)).toContain('Not a quiet machine')
  const quiet = { others: 0.1, average: 3 }
  expect(() => checkQuiet(quiet, false)).not.toThrow()
  expect(describeLoad(quiet, null)).toMatch(/others kept 0\.10 .* 3\.00 at the start, not known at the end/)
  // what the system does not tell is not taken for quiet
  expect(() => checkQuiet({ others: null, average: 1 }, false)).toThrow('got 1.00')
})

test('what others take is between nothing and all processors', async () => {
  const { others } = await readLoad()
  expect(others).toBeGreaterThanOrEqual(0)
  expect(others).toBeLessThanOrEqual(navigator.hardwareConcurrency)
})
