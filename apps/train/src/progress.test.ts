import { describe, expect, it } from 'vitest'
import { formatSeconds, progressLine } from './progress.ts'

describe('progress', () => {
  it('shows share, rate and time left', () => {
    expect(progressLine('train', 25, 100, 'steps', 50)).toBe(
      'train [#####...............] 25/100 steps, 0.50 a second, 2 min 30 s left',
    )
  })
  it('says so while the rate is not known', () => {
    expect(progressLine('train', 0, 10, 'steps', 0)).toContain('? left')
  })
  it('uses the two largest units of time', () => {
    expect([0, 59.6, 61, 3661].map(formatSeconds)).toEqual(['0 s', '1 min 0 s', '1 min 1 s', '1 h 1 min'])
  })
})
