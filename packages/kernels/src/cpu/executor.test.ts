import { afterAll, expect, test } from 'vitest'
import { randomValues } from '../conformance.ts'
import { Graph } from '../graph.ts'
import { attention, fill, gather, optimiser, sample, scatterRows } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { createCpuExecutor } from './executor.ts'

const executor = await createCpuExecutor()
afterAll(() => executor.close())

function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map((x) => BigInt(x >>> 0)) as [bigint, bigint, bigint, bigint]
  let [k0, k1] = key.map((x) => BigInt(x >>> 0)) as [bigint, bigint]
  const mask = 0xffffffffn
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2]
    ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

test('sample: Gumbel-max over tiles with the keys of each row; log-probability of the chosen id', async () => {
  const [T, width, vocab] = [37, 8, 45]
  const g = new Graph({ T })
  executor.allocate('head', 48 * width)
  const head = randomValues(48 * width, 2)
  executor.writeRegion('head', 0, head)
  const hidden = g.host('hidden', g.symbol('T'), width)
  const keys = g.host('keys', g.symbol('T'), 8, 'i32')
  const { ids, out } = sample(g, {
    hidden,
    head: g.persistent('head', 'head', 0, 48, width),
    keys,
    vocab,
    tileWidth: 16,
    invTemperature: 1,
    noise: 'noise',
  })
  const plan = executor.load(planGraph(g))
  const x = randomValues(T * width, 4)
  const key = Int32Array.from({ length: T * 8 }, (_, i) => (i % 8 < 5 ? i * 31 + 7 : 0))
  plan.write(hidden, x)
  plan.write(keys, key)
  for (const noise of [1, 0]) {
    await plan.run('forward', { T, noise })
    const [gotIds, gotOut] = [await plan.read(ids), await plan.read(out)]
    for (let row = 0; row < T; row++) {
      const logits = Array.from({ length: vocab }, (_, n) =>
        x.subarray(row * width, row * width + width).reduce((sum, v, i) => sum + v * head[n * width + i]!, 0),
      )
      const k = [...key.subarray(row * 8, row * 8 + 5)]
      const scores = logits.map((z, n) => {
        const bits = philox([k[2]!, k[3]!, k[4]!, n >> 2], [k[0]!, k[1]!])[n & 3]!
        return z + noise * -Math.log(-Math.log(((bits >>> 8) + 0.5) * 2 ** -24))
      })
      const best = scores.indexOf(Math.max(...scores))
      expect(gotIds[row]).toBe(best)
      const lse = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0))
      expect(gotOut[row * 4]).toBeCloseTo(logits[best]! - lse, 5)
      expect(gotOut[row * 4 + 2]).toBeCloseTo(lse, 5)
    }
  }
})

test('optimiser: clipped AdamW step against f64', async () => {
  const n = 5003
  for (const region of ['p', 'g', 'm', 'v']) executor.allocate(region, n)
  const [p, gradient] = [randomValues(n, 1), randomValues(n, 2)]
  executor.writeRegion('p', 0, p)
  executor.writeRegion('g', 0, gradient)
  const g = new Graph()
  const [params, grads, m, v] = ['p', 'g', 'm', 'v'].map((region) => g.persistent(region, region, 0, 1, n)) as [
    never,
    never,
    never,
    never,
  ]
  const norm = optimiser(g, {
    grads,
    groups: [{ params, grads, m, v, weightDecay: 0.1 }],
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    maxNorm: 1,
  })
  fill(g, grads, 0)
  const plan = executor.load(planGraph(g))
  await plan.run('forward', { lr: 0.01, correction1: 1 / (1 - 0.9), correction2: 1 / (1 - 0.95) })
  const want = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0))
  expect((await plan.read(norm))[0]! / want).toBeCloseTo(1, 5)
  const got = await executor.readRegion('p', 0, n)
  for (let i = 0; i < n; i += 97) {
    const d = (gradient[i]! * 1) / want
    expect(got[i]).toBeCloseTo(p[i]! - 0.01 * (d / (Math.abs(d) + 1e-8) + 0.1 * p[i]!), 5)
  }
  expect((await executor.readRegion('g', 0, n)).every((x) => x === 0)).toBe(true)
})

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

test('gather with weights; empty rows are zero', async () => {
  const g = new Graph()
  const [table, csr, weights] = [g.host('table', 3, 5), g.host('csr', 4 + 3, 1, 'i32'), g.host('weights', 3, 1)]
  const y = gather(g, { table, csr, weights, rows: 3 })
  const plan = executor.load(planGraph(g))
  const values = randomValues(15, 8)
  plan.write(table, values)
  plan.write(csr, Int32Array.of(0, 2, 2, 3, 1, 2, 0))
  plan.write(weights, Float32Array.of(0.25, 0.75, 2))
  await plan.run('forward')
  const got = await plan.read(y)
  for (let i = 0; i < 5; i++)
    expect([got[i], got[5 + i], got[10 + i]]).toEqual([
      expect.closeTo(0.25 * values[5 + i]! + 0.75 * values[10 + i]!, 6),
      0,
      2 * values[i]!,
    ])
})

test('run refuses rows beyond the planned capacity and missing live words', () => {
  const g = new Graph({ T: 4 })
  executor.allocate('fills', 4)
  fill(g, g.persistent('y', 'fills', 0, g.symbol('T'), 1), 1)
  const plan = executor.load(planGraph(g))
  expect(() => plan.run('forward', { T: 5 })).toThrow('planned for at most 4')
  expect(() => plan.run('forward')).toThrow('no value for T')
})
