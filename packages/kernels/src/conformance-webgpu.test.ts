import { afterAll, describe, expect, test } from 'vitest'
import { cases, runCase } from './conformance.ts'
import { adapterForTests } from './webgpu/adapter.fixture.ts'
import { createWebGpuExecutor } from './webgpu/executor.ts'

describe.runIf(await adapterForTests('conformance-webgpu'))('WebGPU kernels agree with f64 references', async () => {
  const executor = await createWebGpuExecutor()
  afterAll(() => executor.close())
  for (const item of cases)
    for (const T of [1, 37, 131])
      test(`${item.name}, T=${T}`, async () => {
        const result = await runCase(executor, item, T)
        expect(result.valueError).toBeLessThan(2e-5)
        expect(result.gradientError).toBeLessThan(2e-4)
      })
})
