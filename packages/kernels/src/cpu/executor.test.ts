import { afterAll, expect, test } from 'vitest'
import { randomValues } from '../conformance.ts'
import { Graph } from '../graph.ts'
import { attention, fill, scatterRows } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { createCpuExecutor } from './executor.ts'

const executor = await createCpuExecutor()
afterAll(() => executor.close())

test('attention over a pool: where the keys lie changes no bit', async () => {
  const [H, K, C, keys] = [4, 2, 8, 9]
  const run = async (places: readonly number[], region: string) => {
    executor.allocate(region, 2 * 64 * K * C)
    const g = new Graph()
    const pools = [0, 1].map((i) => g.persistent(`pool${i}`, region, i * 64 * K * C, 64, K * C)) as [never, never]
    const [x, dst] = [g.host('x', keys, K * C), g.host('dst', keys, 1, 'i32')]
    for (const pool of pools) scatterRows(g, x, pool, dst)
    const q = g.host('q', 1, H * C)
    const spans = g.host('spans', 2 + 2 * keys, 1, 'i32')
    const o = attention(g, { q, k: pools[0], v: pools[1], spans, heads: H, kvHeads: K, channels: C, scale: 0.3 })
    const plan = executor.load(planGraph(g))
    plan.write(x, randomValues(keys * K * C, 6))
    plan.write(q, randomValues(H * C, 7))
    plan.write(dst, Int32Array.from(places))
    plan.write(spans, Int32Array.from([0, keys, ...places.flatMap((place) => [place, 1])]))
    await plan.run('forward')
    return plan.read(o)
  }
  const packed = await run([0, 1, 2, 3, 4, 5, 6, 7, 8], 'pool-a')
  expect(packed.every(Number.isFinite)).toBe(true)
  expect(await run([40, 3, 63, 9, 8, 7, 20, 0, 1], 'pool-b')).toEqual(packed)
})

test('run refuses rows beyond the planned capacity and missing live words', () => {
  const g = new Graph({ T: 4 })
  executor.allocate('fills', 4)
  fill(g, g.persistent('y', 'fills', 0, g.symbol('T'), 1), 1)
  const plan = executor.load(planGraph(g))
  expect(() => plan.run('forward', { T: 5 })).toThrow('planned for at most 4')
  expect(() => plan.run('forward')).toThrow('no value for T')
})
