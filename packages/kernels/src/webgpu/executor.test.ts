import { afterAll, describe, expect, test } from 'vitest'
import { buildBackward } from '../autodiff.ts'
import { randomValues } from '../conformance.ts'
import { createCpuExecutor } from '../cpu/executor.ts'
import type { Executor } from '../executor.ts'
import { Graph, type Tensor } from '../graph.ts'
import {
  add,
  attention,
  fill,
  gather,
  gelu,
  layerNorm,
  linear,
  logprob,
  optimiser,
  rmsNorm,
  sample,
  scatterRows,
  swiglu,
} from '../ops/index.ts'
import { forwardCalls, planGraph } from '../plan.ts'
import { adapterForTests } from './adapter.fixture.ts'
import { openWebGpu } from './adapter.ts'
import { createWebGpuExecutor } from './executor.ts'

const WIDTH = 20
const VOCABULARY = 45
/** Regions of one model: rows and width of each parameter, end to end, every one at an offset no device could bind. */
const SHAPES = [
  [VOCABULARY, WIDTH],
  [1, WIDTH],
  [24, WIDTH],
  [24, WIDTH],
  [1, 24],
  [WIDTH, 24],
  [1, WIDTH],
  [1, WIDTH],
] as const
const ELEMENTS = SHAPES.reduce((sum, [rows, width]) => sum + rows * width, 0)

/** A block with norms, a gated unit, a biased projection and a residual, scored in vocabulary tiles: most kernels, small. */
async function trainer(executor: Executor, prefix: string, capacity: number, align: boolean) {
  const g = new Graph({ T: capacity })
  let offset = 0
  const room = (elements: number) => (align ? Math.ceil(elements / 64) * 64 : elements)
  const regions = ['p', 'g', 'm', 'v'].map((name) => prefix + name) as [string, string, string, string]
  const total = SHAPES.reduce((sum, [rows, width]) => sum + room(rows * width), 0)
  for (const region of regions) executor.allocate(region, total)
  const initial = randomValues(ELEMENTS, 11)
  let read = 0
  const parameters = SHAPES.map(([rows, width], i) => {
    const at = offset
    offset += room(rows * width)
    executor.writeRegion(
      regions[0],
      at,
      initial.slice(read, read + rows * width).map((x) => 0.3 * x + (rows === 1 ? 1 : 0)),
    )
    read += rows * width
    return g.persistent(`p${i}`, regions[0], at, rows, width, g.persistent(`g${i}`, regions[1], at, rows, width))
  })
  const [table, gain, gate, up, bias, down, lastGain, lastBias] = parameters as [Tensor, ...Tensor[]] as Tensor[]
  const T = g.symbol('T')
  const csr = g.host('csr', capacity + 1 + capacity, 1, 'i32')
  const transposed = g.host('transposed', VOCABULARY + 1 + capacity, 1, 'i32')
  const [targets, dout] = [g.host('targets', T, 1, 'i32'), g.host('dout', T, 2)]
  const x = gather(g, { table: table!, csr, csrTransposed: transposed, rows: T })
  const normed = rmsNorm(g, x, gain!, 1e-6)
  const inner = swiglu(g, linear(g, normed, gate!), gelu(g, linear(g, normed, up!, bias!), 'erf'))
  const hidden = layerNorm(g, add(g, x, linear(g, inner, down!)), lastGain!, lastBias!, 1e-6)
  const out = logprob(g, {
    hidden,
    head: table!,
    targets,
    dout,
    vocab: 41,
    tileWidth: 16,
    invTemperature: 'invTemperature',
  })
  const plan = executor.load(planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g) } }))
  const o = new Graph()
  const [params, grads, m, v] = regions.map((region) => o.persistent(region, region, 0, 1, total)) as Tensor[]
  const norm = optimiser(o, {
    grads: grads!,
    groups: [{ params: params!, grads: grads!, m: m!, v: v!, weightDecay: 0.01 }],
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    maxNorm: 1,
  })
  fill(o, grads!, 0)
  const update = executor.load(planGraph(o))
  const step = async (count: number, rows: number) => {
    const tokens = Array.from({ length: rows }, (_, i) => (i * 7 + count) % 41)
    const byToken = [...Array(VOCABULARY).keys()].map((token) =>
      tokens.flatMap((other, row) => (other === token ? [row] : [])),
    )
    let sum = 0
    plan.write(
      csr,
      Int32Array.from({ length: rows + 1 }, (_, i) => i),
    )
    plan.write(csr, Int32Array.from(tokens), capacity + 1)
    plan.write(transposed, Int32Array.from([0, ...byToken.map((list) => (sum += list.length))]))
    plan.write(transposed, Int32Array.from(byToken.flat()), VOCABULARY + 1)
    plan.write(
      targets,
      Int32Array.from(tokens, (token) => (token * 3 + 1) % 41),
    )
    plan.write(
      dout,
      Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? 0.01 : -1 / rows)),
    )
    const live = { T: rows, invTemperature: 1 + 0.1 * count }
    await plan.run('forward', live)
    const scores = (await plan.read(out, rows)) as Float32Array
    await plan.run('backward', live)
    const t = count + 1
    await update.run('forward', {
      lr: 0.01 / t,
      correction1: 1 / (1 - 0.9 ** t),
      correction2: 1 / (1 - 0.95 ** t),
    })
    return { scores, norm: (await update.read(norm))[0]! }
  }
  return {
    step,
    /** Parameters without what lies between them. */
    async parameters() {
      const flat = await executor.readRegion(regions[0], 0, total)
      return Float32Array.from(
        parameters.flatMap(({ storage, rows, width }) => {
          const at = storage.kind === 'persistent' ? storage.offset : 0
          return [...flat.subarray(at, at + rows.count * width)]
        }),
      )
    },
  }
}

function furthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = 0
  for (let i = 0; i < a.length; i++) {
    const distance = Math.abs(a[i]! - b[i]!) / (1 + Math.abs(b[i]!))
    most = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(most, distance)
  }
  return most
}

describe.runIf(await adapterForTests('webgpu/executor'))('WebGPU executor', async () => {
  const gpu = await openWebGpu()
  const executor = await createWebGpuExecutor({ gpu })
  const cpu = await createCpuExecutor()
  afterAll(async () => {
    await executor.close()
    await cpu.close()
    gpu.close()
  })

  test('six training steps of changing sizes go as on the CPU', async () => {
    const [a, b] = [await trainer(executor, 'six.', 80, true), await trainer(cpu, 'six.', 80, true)]
    for (const [count, rows] of [5, 80, 1, 37, 64, 80].entries()) {
      const [got, want] = [await a.step(count, rows), await b.step(count, rows)]
      expect(furthest(got.scores, want.scores)).toBeLessThan(1e-4)
      expect(Math.abs(got.norm / want.norm - 1)).toBeLessThan(1e-4)
    }
    expect(furthest(await a.parameters(), await b.parameters())).toBeLessThan(2e-4)
  })

  test('slices at any offset give the same bits as aligned ones', async () => {
    const coarse = await createWebGpuExecutor({ gpu, alignment: 256 })
    const [a, b] = [await trainer(executor, 'fit.', 16, true), await trainer(coarse, 'unfit.', 16, false)]
    for (const count of [0, 1]) expect((await b.step(count, 16)).scores).toEqual((await a.step(count, 16)).scores)
    expect(furthest(await b.parameters(), await a.parameters())).toBeLessThan(1e-6)
    await coarse.close()
  })

  test('rows of a product are equal to the bit whatever M', async () => {
    executor.allocate('w', 45 * 300)
    executor.writeRegion('w', 0, randomValues(45 * 300, 3))
    const product = async (M: number) => {
      const g = new Graph({ T: M })
      const x = g.host('x', g.symbol('T'), 300)
      const y = linear(g, x, g.persistent('w', 'w', 0, 45, 300))
      const loaded = executor.load(planGraph(g))
      loaded.write(x, randomValues(M * 300, 9))
      await loaded.run('forward', { T: M })
      return (await loaded.read(y)) as Float32Array
    }
    const all = await product(300)
    for (const M of [1, 3, 64, 129]) expect(await product(M)).toEqual(all.subarray(0, M * 45))
  })

  test('the same ids are sampled as on the CPU', async () => {
    const [T, width, vocab] = [37, 8, 45]
    const run = async (on: Executor) => {
      const g = new Graph({ T })
      on.allocate('sample.head', 48 * width)
      on.writeRegion('sample.head', 0, randomValues(48 * width, 2))
      const [hidden, keys] = [g.host('hidden', g.symbol('T'), width), g.host('keys', g.symbol('T'), 8, 'i32')]
      const head = g.persistent('head', 'sample.head', 0, 48, width)
      const { ids, out } = sample(g, { hidden, head, keys, vocab, tileWidth: 16, invTemperature: 1, noise: 'noise' })
      const plan = on.load(planGraph(g))
      plan.write(hidden, randomValues(T * width, 4))
      plan.write(
        keys,
        Int32Array.from({ length: T * 8 }, (_, i) => (i % 8 < 5 ? i * 31 - 700 : 0)),
      )
      const results: { ids: ArrayLike<number>; out: ArrayLike<number> }[] = []
      for (const noise of [1, 0]) {
        await plan.run('forward', { T, noise })
        results.push({ ids: await plan.read(ids), out: await plan.read(out) })
      }
      return results
    }
    const [got, want] = [await run(executor), await run(cpu)]
    for (const i of [0, 1]) {
      expect(got[i]!.ids).toEqual(want[i]!.ids)
      expect(furthest(got[i]!.out, want[i]!.out)).toBeLessThan(1e-5)
    }
  })

  test('attention over a pool: where the keys lie changes no bit; skipped rows stay', async () => {
    const [H, K, C, keys] = [4, 2, 8, 9]
    const run = async (places: readonly number[], region: string) => {
      executor.allocate(region, 2 * 64 * K * C)
      const g = new Graph()
      const pools = [0, 1].map((i) => g.persistent(`pool${i}`, region, i * 64 * K * C, 64, K * C)) as Tensor[]
      const [x, dst] = [g.host('x', keys + 1, K * C), g.host('dst', keys + 1, 1, 'i32')]
      for (const pool of pools) scatterRows(g, x, pool, dst)
      const [q, spans] = [g.host('q', 1, H * C), g.host('spans', 2 + 2 * keys, 1, 'i32')]
      const o = attention(g, { q, k: pools[0]!, v: pools[1]!, spans, heads: H, kvHeads: K, channels: C, scale: 0.3 })
      const plan = executor.load(planGraph(g))
      plan.write(x, randomValues((keys + 1) * K * C, 6))
      plan.write(q, randomValues(H * C, 7))
      plan.write(dst, Int32Array.from([...places, -1]))
      plan.write(spans, Int32Array.from([0, keys, ...places.flatMap((place) => [place, 1])]))
      await plan.run('forward')
      return plan.read(o)
    }
    const packed = await run([0, 1, 2, 3, 4, 5, 6, 7, 8], 'pool-a')
    expect(packed.every(Number.isFinite)).toBe(true)
    expect(await run([40, 3, 63, 9, 8, 7, 20, 0, 1], 'pool-b')).toEqual(packed)
  })

  test('flat kernels go on beyond 65535 workgroups', async () => {
    const n = 65536 * 64 + 1
    executor.allocate('long', n)
    const g = new Graph()
    fill(g, g.persistent('y', 'long', 0, 1, n), 3)
    const plan = executor.load(planGraph(g))
    await plan.run('forward')
    expect((await executor.readRegion('long', 0, n)).every((x) => x === 3)).toBe(true)
  })

  test('says what is wrong with rows, live words, regions, freed plans', async () => {
    const g = new Graph({ T: 4 })
    const y = g.persistent('y', 'fills', 0, g.symbol('T'), 1)
    fill(g, y, 1)
    expect(() => executor.load(planGraph(g))).toThrow("region fills is not allocated. Call allocate('fills', …) first.")
    executor.allocate('fills', 4)
    const plan = executor.load(planGraph(g))
    const held = executor.byteLength()
    expect(() => plan.run('forward', { T: 5 })).toThrow('planned for at most 4')
    expect(() => plan.run('forward')).toThrow('no value for T')
    expect(() => plan.write(y, new Float32Array(5))).toThrow('holds 4 elements, got 5')
    plan.free()
    expect(executor.byteLength()).toBeLessThan(held)
    expect(() => plan.run('forward', { T: 1 })).toThrow('this plan was freed')
    expect(() => executor.allocate('huge', 2 ** 50)).toThrow(/region huge must have at most the device's \d+ bytes/)
  })
})
