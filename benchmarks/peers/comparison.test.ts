import { expect, test } from 'vitest'
import { comparisonTables } from './comparison.ts'

const samples = (tokens: number, ...ms: number[]) => ms.map((each) => ({ ms: each, tokens }))

test('the best of ours stands against the best of the peer, by tokens in time, round by round', () => {
  const measured = [
    { who: 'ours', ours: true, threads: 1, how: '', samples: samples(100, 100, 100, 100) },
    { who: 'ours', ours: true, threads: 2, how: '', samples: samples(100, 50, 40, 50) },
    { who: 'peer', ours: false, threads: 2, how: 'active', samples: samples(200, 1000, 1000, 1000) },
    { who: 'peer', ours: false, threads: 2, how: 'passive', samples: samples(200, 200, 160, 400) },
  ]
  const [best, all] = comparisonTables('title', [{ name: 'work', measured }], [])
  expect(best!.rows).toEqual([['work', 'peer', '2 thr.', '2 thr., passive', 2000, 1000, 2]])
  expect(all!.rows.map((row) => row.at(-1))).toEqual(['-', '-', 10, 2])
  expect(all!.rows.map((row) => row[5])).toEqual([1000, 2000, 200, 1000])
})
