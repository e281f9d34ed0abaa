import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { loadCases, randomValues, runCase } from './conformance.ts'
import { type CpuExecutor, createCpuExecutor } from './cpu/executor.ts'
import { Graph } from './graph.ts'
import { kernels, linear } from './ops/index.ts'
import { planGraph } from './plan.ts'

const one = await createCpuExecutor({ threads: 1 })
const plain = await createCpuExecutor({ threads: 1, build: 'plain' })
const two = await createCpuExecutor({ threads: 2 })
afterAll(() => Promise.all([one, plain, two].map((executor) => executor.close())))

const cases = await loadCases()

/** No row, one, a prime, more than a workgroup has threads. */
describe.each([0, 1, 37, 131])('CPU kernels agree with f64 references, T=%i', (T) => {
  test.each(cases)('$name', async (item) => {
    const result = await runCase(one, item, T)
    expect(result.faults).toEqual([])
    expect(result.valueError).toBeLessThan(2e-5)
    expect(result.gradientError).toBeLessThan(2e-4)
    if (T <= 1) return
    const threaded = await runCase(two, item, T)
    expect(threaded.output).toEqual(result.output)
    expect(threaded.gradients).toEqual(result.gradients)
    if (T > 37) return
    const unfused = await runCase(plain, item, T)
    expect(unfused.faults).toEqual([])
    expect(unfused.valueError).toBeLessThan(2e-5)
    expect(unfused.gradientError).toBeLessThan(2e-4)
  })
})

test('every kernel is run by a case', async () => {
  const load = vi.spyOn(one, 'load')
  for (const item of cases) await runCase(one, item, 1)
  const run = new Set(load.mock.calls.flatMap(([plan]) => plan.steps.map(({ kernel }) => kernel)))
  expect(kernels.filter((kernel) => !run.has(kernel)).map(({ name }) => name)).toEqual([])
})

test('an op folder without cases is an error that names it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'axpo-ops-'))
  await mkdir(join(folder, 'relu'))
  await expect(loadCases(pathToFileURL(`${folder}/`))).rejects.toThrow(
    /op relu must have cases, got no file .*relu\.conf/,
  )
  await writeFile(join(folder, 'relu', 'relu.conformance.ts'), 'export const cases = []')
  await expect(loadCases(pathToFileURL(`${folder}/`))).rejects.toThrow(
    /relu\.conformance\.ts must export cases, got none/,
  )
  await rm(folder, { recursive: true })
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
