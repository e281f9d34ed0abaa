import { afterAll, describe, expect, test } from 'vitest'
import { cases, randomValues, runCase } from './conformance.ts'
import { type CpuExecutor, createCpuExecutor } from './cpu/executor.ts'
import { Graph } from './graph.ts'
import { linear } from './ops/index.ts'
import { planGraph } from './plan.ts'

const one = await createCpuExecutor({ threads: 1 })
const plain = await createCpuExecutor({ threads: 1, build: 'plain' })
const two = await createCpuExecutor({ threads: 2 })
afterAll(() => Promise.all([one, plain, two].map((executor) => executor.close())))

describe('CPU kernels agree with f64 references', () => {
  for (const item of cases)
    for (const T of [1, 37, 131])
      test(`${item.name}, T=${T}`, async () => {
        const result = await runCase(one, item, T)
        expect(result.valueError).toBeLessThan(2e-5)
        expect(result.gradientError).toBeLessThan(2e-4)
        const threaded = await runCase(two, item, T)
        expect(threaded.output).toEqual(result.output)
        expect(threaded.gradients).toEqual(result.gradients)
        expect((await runCase(plain, item, T)).valueError).toBeLessThan(2e-5)
      })
})

async function rowsOfLinear(executor: CpuExecutor, M: number): Promise<Float32Array> {
  const g = new Graph({ T: M })
  const region = `rows${M}-${Math.random()}`
  executor.allocate(region, 45 * 300)
  executor.writeRegion(region, 0, randomValues(45 * 300, 3))
  const x = g.host('x', g.symbol('T'), 300)
  const y = linear(g, x, g.persistent('w', region, 0, 45, 300))
  const loaded = executor.load(planGraph(g))
  loaded.write(x, randomValues(M * 300, 9))
  await loaded.run('forward', { T: M })
  return (await loaded.read(y)) as Float32Array
}

test('gemm rows are equal to the bit whatever M', async () => {
  const all = await rowsOfLinear(one, 300)
  for (const M of [1, 2, 3, 5, 64, 129]) expect(await rowsOfLinear(two, M)).toEqual(all.subarray(0, M * 45))
})

test('Philox4x32-10: known answers of Random123', () => {
  const block = (c: number[], k: number[]) =>
    [0, 1, 2, 3].map((lane) => one.exports.philox(c[0]!, c[1]!, c[2]!, c[3]!, k[0]!, k[1]!, lane) >>> 0)
  expect(block([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
  expect(block([-1, -1, -1, -1], [-1, -1])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd])
  expect(block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ])
})
