import { afterAll, describe, expect, test } from 'vitest'
import { loadCases, runCase } from './conformance.ts'
import { adapterForTests } from './webgpu/adapter.fixture.ts'
import { openWebGpu } from './webgpu/adapter.ts'
import { createWebGpuExecutor } from './webgpu/executor.ts'

const cases = await loadCases()

describe.runIf(await adapterForTests('conformance-webgpu'))('WebGPU kernels agree with f64 references', async () => {
  const gpu = await openWebGpu()
  const [own, other] = gpu.info.kind === 'gpu' ? (['gpu', 'software'] as const) : (['software', 'gpu'] as const)
  const executors = {
    own: await createWebGpuExecutor({ gpu }),
    other: await createWebGpuExecutor({ gpu, kernels: other }),
  }
  afterAll(async () => {
    for (const executor of Object.values(executors)) await executor.close()
    gpu.close()
  })
  /** What the other kind of adapter runs is another file for these only. */
  const twofold = cases.filter(({ name }) => name.startsWith('linear'))

  /** No row, one, a prime, more than a workgroup has threads. */
  describe.each([0, 1, 37, 131])('T=%i', (T) => {
    test.each([
      ...cases.map((item) => ({ item, name: item.name, kernels: own, executor: executors.own })),
      ...twofold.map((item) => ({ item, name: item.name, kernels: other, executor: executors.other })),
    ])('$name, kernels for $kernels', async ({ item, executor }) => {
      const result = await runCase(executor, item, T)
      expect(result.faults).toEqual([])
      expect(result.valueError).toBeLessThan(2e-5)
      expect(result.gradientError).toBeLessThan(2e-4)
    })
  })
})
