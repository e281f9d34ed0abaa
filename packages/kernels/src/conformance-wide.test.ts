import { setFlagsFromString } from 'node:v8'
import { expect, test } from 'vitest'
import { loadCases, randomValues, runCase } from './conformance.ts'
import { type CpuExecutor, createCpuExecutor } from './cpu/executor.ts'
import { Graph } from './graph.ts'
import { linear } from './ops/index.ts'
import { planGraph } from './plan.ts'

const cases = await loadCases()

async function results(executor: CpuExecutor) {
  const found: unknown[] = []
  for (const T of [1, 37, 131])
    for (const item of cases) {
      const { output, gradients, faults } = await runCase(executor, item, T)
      expect(faults).toEqual([])
      found.push([item.name, T, output, gradients])
    }
  for (const [M, N, K] of [
    [250, 96, 256],
    [131, 200, 300],
    [64, 24, 5],
  ] as const)
    found.push(await product(executor, M, N, K))
  await executor.close()
  return found
}

async function product(executor: CpuExecutor, M: number, N: number, K: number): Promise<unknown> {
  const g = new Graph({ T: M })
  const region = `w${M}`
  executor.allocate(region, N * K)
  executor.writeRegion(region, 0, randomValues(N * K, 3))
  const x = g.host('x', g.symbol('T'), K)
  const y = linear(g, x, g.persistent('w', region, 0, N, K))
  const loaded = executor.load(planGraph(g))
  loaded.write(x, randomValues(M * K, 9))
  await loaded.run('forward', { T: M })
  return loaded.read(y)
}

// Where V8 cannot, createCpuExecutor says so (next test).
test.runIf(process.arch === 'x64')('the wide build gives every kernel the bits of fma', async () => {
  const fma = await results(await createCpuExecutor({ build: 'fma' }))
  // only optimised code has 256-bit operations; with two threads the module is another one, so nothing compiled before is used again
  setFlagsFromString('--no-liftoff')
  const wide = await createCpuExecutor({ build: 'wide', threads: 2 })
  expect(wide.describe()).toBe('WebAssembly SIMD (wide), 2 threads')
  expect(await results(wide)).toEqual(fma)
})

test('where there are no 256-bit operations, wide is an error that says so', async () => {
  const arch = Object.getOwnPropertyDescriptor(process, 'arch')!
  Object.defineProperty(process, 'arch', { ...arch, value: 'arm64' })
  const refused = createCpuExecutor({ build: 'wide' }).finally(() => Object.defineProperty(process, 'arch', arch))
  await expect(refused).rejects.toThrow(
    'cpu: build wide needs Node 24 or later on x64, got a processor of architecture arm64. Use build fma.',
  )
})
