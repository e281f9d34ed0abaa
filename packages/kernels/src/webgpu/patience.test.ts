import { expect, test } from 'vitest'
import { Patience, type RunTime } from './patience.ts'

const fresh = (): RunTime => ({ startedMs: 0, expectedMs: 0 })

test('a run is slept for half of what it took; an unknown or short one, and one on a GPU, not at all', () => {
  const patience = new Patience(true)
  const run = { startedMs: 0, expectedMs: 100 }
  expect(patience.sleepMs(0)).toBe(0)
  patience.started(run, 1000)
  expect(patience.sleepMs(1000)).toBe(50)
  expect(patience.sleepMs(1040)).toBe(10)
  expect(patience.sleepMs(1048)).toBe(0)
  patience.ended(1080)
  expect(run.expectedMs).toBe(80)
  expect(patience.sleepMs(1080)).toBe(0)
  patience.started(fresh(), 2000)
  expect(patience.sleepMs(2000)).toBe(0)
  const gpu = new Patience(false)
  gpu.started({ startedMs: 0, expectedMs: 100 }, 0)
  expect(gpu.sleepMs(0)).toBe(0)
})

test('one slow run raises what is expected twofold at most, and no sleep is longer than a second', () => {
  const patience = new Patience(true)
  const run = fresh()
  for (const [tookMs, expectedMs] of [
    [40, 10],
    [40, 20],
    [5000, 40],
    [30, 30],
  ] as const) {
    patience.started(run, 0)
    patience.ended(tookMs)
    expect(run.expectedMs).toBe(expectedMs)
  }
  patience.started({ startedMs: 0, expectedMs: 60_000 }, 0)
  expect(patience.sleepMs(0)).toBe(1000)
})
