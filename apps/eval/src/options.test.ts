/** Integer flags: what they take and what they say. */
import { describe, expect, it } from 'vitest'
import { integer, largestSamples, largestSeed, seedOption, threadsOption } from './options.ts'

describe('integer', () => {
  it.each(['1', '7', '2147483647'])('takes %s', (value) => expect(integer(1)(value)).toBe(Number(value)))
  it.each(['0', '-3', '1.5', '', ' ', 'x', 'NaN', 'Infinity'])('refuses "%s"', (value) =>
    expect(() => integer(1)(value)).toThrow('Give an integer of at least 1.'),
  )
  it.each(['2147483648', '99999999999', '1e300'])('refuses %s: too large', (value) =>
    expect(() => integer(1)(value)).toThrow('Give an integer of at most 2147483647.'),
  )
  it('a bound of its own', () => {
    expect(integer(1, largestSamples)('1000')).toBe(1000)
    expect(() => integer(1, largestSamples)('1001')).toThrow('Give an integer of at most 1000.')
  })
})

it('a seed has 32 bits', () => {
  const parse = (value: string) => seedOption().parseArg!(value, 1)
  expect(parse('4294967295')).toBe(largestSeed)
  expect(() => parse('4294967296')).toThrow('Give an integer of at most 4294967295.')
  expect(() => threadsOption().parseArg!('1e9', 0)).toThrow('Give an integer of at most 1024.')
})
