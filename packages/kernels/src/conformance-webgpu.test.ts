import { afterAll, describe, expect, test } from 'vitest'
import { loadCases, runCase } from './conformance.ts'
import { adapterForTests } from './webgpu/adapter.fixture.ts'
import { createWebGpuExecutor } from './webgpu/executor.ts'

const cases = await loadCases()

describe.runIf(await adapterForTests('conformance-webgpu'))('WebGPU kernels agree with f64 references', async () => {
  const executor = await createWebGpuExecutor()
  afterAll(() => executor.close())

  /** No row, one, a prime, more than a workgroup has threads. */
  describe.each([0, 1, 37, 131])('T=%i', (T) => {
    test.each(cases)('$name', async (item) => {
      const result = await runCase(executor, item, T)
      expect(result.faults).toEqual([])
      expect(result.valueError).toBeLessThan(2e-5)
      expect(result.gradientError).toBeLessThan(2e-4)
    })
  })
})
