import { afterAll, describe, expect, test } from 'vitest'
import { cases, runCase } from './conformance.ts'
import { createWebGpuExecutor, describeAdapter, openWebGpu } from './index.ts'

const none = process.env.AXPO_ADAPTER === 'none'
if (none) console.warn('conformance-webgpu: skipped, AXPO_ADAPTER=none says that this machine has no WebGPU adapter.')
else if (!(await describeAdapter()))
  throw new Error(
    'conformance-webgpu: a WebGPU adapter is needed, got none. Run `npm test`, which brings a software driver, or set AXPO_ADAPTER=none to skip.',
  )

describe.skipIf(none)('WebGPU kernels agree with f64 references', async () => {
  if (none) return
  const gpu = await openWebGpu()
  const executor = await createWebGpuExecutor({ gpu })
  // what SwiftShader and many drivers ask for
  const coarse = await createWebGpuExecutor({ gpu, alignment: 256 })
  afterAll(async () => {
    await executor.close()
    await coarse.close()
    gpu.close()
  })
  for (const item of cases)
    for (const T of [1, 37, 131])
      test(`${item.name}, T=${T}`, async () => {
        const result = await runCase(executor, item, T)
        expect(result.valueError).toBeLessThan(2e-5)
        expect(result.gradientError).toBeLessThan(2e-4)
        const again = await runCase(coarse, item, T)
        expect(again.output).toEqual(result.output)
        expect(again.gradients).toEqual(result.gradients)
      })
})
