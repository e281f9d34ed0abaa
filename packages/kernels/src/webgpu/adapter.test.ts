import { describe, expect, test } from 'vitest'
import {
  type AdapterDescription,
  chooseDevice,
  classifyAdapter,
  describeAdapter,
  NoAdapterError,
  openWebGpu,
} from './adapter.ts'

const named = (description: string, isFallbackAdapter = false) => ({
  vendor: '',
  architecture: '',
  device: '',
  description,
  isFallbackAdapter,
})
const adapterOf = (kind: AdapterDescription['kind']): AdapterDescription => ({
  kind,
  name: 'X',
  vendor: '',
  architecture: '',
  device: '',
  description: 'X',
  subgroupMinSize: null,
  subgroupMaxSize: null,
  features: [],
  limits: {},
})

describe('classifyAdapter', () => {
  test.each([
    ['llvmpipe (LLVM 19.1.7, 256 bits)', 'software'],
    ['SwiftShader driver 5.0.0', 'software'],
    ['Microsoft Basic Render Driver', 'software'],
    ['NVIDIA H100 80GB HBM3', 'gpu'],
    ['Apple M3', 'gpu'],
    ['AMD Radeon RX 7900 XTX (RADV NAVI31)', 'gpu'],
  ])('%s is %s', (description, kind) => expect(classifyAdapter(named(description))).toBe(kind))

  test("the driver's own word wins", () => expect(classifyAdapter(named('Some Future CPU', true))).toBe('software'))
})

describe('chooseDevice', () => {
  test('auto takes a real GPU', () => expect(chooseDevice('auto', adapterOf('gpu')).device).toBe('webgpu'))
  test('auto leaves a software adapter', () => expect(chooseDevice('auto', adapterOf('software')).device).toBe('cpu'))
  test('auto without an adapter', () => expect(chooseDevice('auto', null).device).toBe('cpu'))
  test('webgpu takes a software adapter', () =>
    expect(chooseDevice('webgpu', adapterOf('software')).device).toBe('webgpu'))
  test('cpu stays cpu beside a GPU', () => expect(chooseDevice('cpu', adapterOf('gpu')).device).toBe('cpu'))
  test('webgpu without an adapter is an error that says how to repair', () =>
    expect(() => chooseDevice('webgpu', null)).toThrow(/--device webgpu needs an adapter, got none.*--device cpu/))
})

const adapter = await describeAdapter()

describe('openWebGpu', () => {
  test('a browser without an adapter: NoAdapterError with the repair', async () => {
    const gpu = { requestAdapter: async () => null }
    Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true })
    try {
      await expect(openWebGpu()).rejects.toThrow(NoAdapterError)
      await expect(openWebGpu()).rejects.toThrow(/got none.*--device cpu/)
    } finally {
      Reflect.deleteProperty(navigator, 'gpu')
    }
  })

  test("opens with the adapter's own limits, computes, closes", async (context) => {
    if (!adapter) return context.skip('no WebGPU adapter in this environment (npm test brings one)')
    const errors: string[] = []
    const gpu = await openWebGpu({ onError: (message) => errors.push(message) })
    expect(gpu.device.limits.maxStorageBufferBindingSize).toBe(adapter.limits.maxStorageBufferBindingSize)
    expect(gpu.device.limits.maxComputeWorkgroupStorageSize).toBe(adapter.limits.maxComputeWorkgroupStorageSize)
    for (const feature of ['timestamp-query', 'shader-f16', 'subgroups']) {
      expect(gpu.device.features.has(feature), feature).toBe(adapter.features.includes(feature))
    }
    expect(await doubled(gpu.device, [1, 2.5, -3])).toEqual([2, 5, -6])
    expect(errors).toEqual([])
    gpu.close()
    gpu.close()
    expect((await gpu.device.lost).reason).toBe('destroyed')
  })

  test('a loss that close() did not ask for is told once', async (context) => {
    if (!adapter) return context.skip('no WebGPU adapter in this environment (npm test brings one)')
    const told: string[] = []
    const gpu = await openWebGpu({ onLost: (reason) => told.push(reason) })
    gpu.device.destroy()
    await gpu.device.lost
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(told).toEqual(['destroyed'])
  })

  test('an invalid command reaches onError', async (context) => {
    if (!adapter) return context.skip('no WebGPU adapter in this environment (npm test brings one)')
    const errors: string[] = []
    const gpu = await openWebGpu({ onError: (message) => errors.push(message) })
    gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE })
    await gpu.device.queue.onSubmittedWorkDone()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(errors).toHaveLength(1)
    gpu.close()
  })

  test('a software adapter is refused when a real GPU is asked for', async (context) => {
    if (adapter?.kind !== 'software') return context.skip('needs a software adapter as the only one')
    await expect(openWebGpu({ software: 'refuse' })).rejects.toThrow(/a real GPU is needed, got software adapter/)
  })
})

async function doubled(device: GPUDevice, values: readonly number[]): Promise<number[]> {
  const byteLength = values.length * 4
  const data = device.createBuffer({
    size: byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  })
  const back = device.createBuffer({ size: byteLength, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  device.queue.writeBuffer(data, 0, new Float32Array(values))
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < arrayLength(&x)) { x[id.x] = 2 * x[id.x]; }
    }`
  const module = device.createShaderModule({ code })
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: data } }],
  })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, bindings)
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(data, 0, back, 0, byteLength)
  device.queue.submit([encoder.finish()])
  await back.mapAsync(GPUMapMode.READ)
  const result = [...new Float32Array(back.getMappedRange())]
  back.unmap()
  return result
}
