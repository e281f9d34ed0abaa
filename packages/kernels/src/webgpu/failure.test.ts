/** What goes wrong on the WebGPU executor: each failure is one error that says what, where and how to go on, and none hangs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { Graph } from '../graph.ts'
import { attentionKernel } from '../ops/attention/attention.ts'
import { fillKernel } from '../ops/fill/fill.ts'
import { attention, fill } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { adapterForTests } from './adapter.fixture.ts'
import { DeviceLostError, openWebGpu } from './adapter.ts'
import { WebGpuExecutor } from './executor.ts'
import { compileAll, compileKernel } from './pipelines.ts'

/** An executor with two kernels: software drivers take long to compile all. */
async function smallExecutor() {
  const gpu = await openWebGpu({ onLost: () => {}, onError: () => {} })
  const executor = new WebGpuExecutor(gpu, await compileAll(gpu.device, [fillKernel, attentionKernel], gpu.info.kind), {
    gpu,
  })
  return { gpu, executor }
}

function filled(executor: WebGpuExecutor, region: string, rows = 64) {
  const g = new Graph({ T: rows })
  executor.allocate(region, rows)
  fill(g, g.persistent('y', region, 0, g.symbol('T'), 1), 3)
  return planGraph(g)
}

describe.runIf(await adapterForTests('webgpu/failure'))('WebGPU failures', async () => {
  const { gpu, executor } = await smallExecutor()
  afterAll(async () => {
    await executor.close()
    gpu.close()
  })

  test('a kernel that does not compile is named with its file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'axpo-wgsl-'))
    try {
      const file = join(folder, 'bad.wgsl')
      await writeFile(file, 'fn main_bad() { let x = ; }')
      const spec = {
        name: 'bad',
        bindings: ['+y'],
        words: ['n'],
        most: {},
        chunk: { items: 1 },
        workgroups: () => [1, 1, 1] as const,
      }
      const compile = (wgsl: URL) => compileKernel(gpu.device, { ...spec, wgsl }, [], gpu.info.kind)
      await expect(compile(pathToFileURL(file))).rejects.toThrow(/kernel bad must compile, got .*bad\.wgsl/s)
      await expect(compile(pathToFileURL(join(folder, 'none.wgsl')))).rejects.toThrow(/needs its WGSL, got no file/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a region or a binding beyond the limits is refused, and nothing stays allocated', () => {
    const [held, { allocations }] = [executor.byteLength(), executor.counters()]
    expect(() => executor.allocate('huge', 2 ** 50)).toThrow(
      /webgpu: region huge must have at most the device's \d+ bytes, got \d+. Use a smaller model/,
    )
    const elements = gpu.device.limits.maxStorageBufferBindingSize / 4 + 64
    const g = new Graph()
    fill(g, g.activation('y', Math.ceil(elements / 64), 64), 1)
    expect(() => executor.load(planGraph(g))).toThrow(
      /webgpu: fill: \+y must have at most the device's \d+ bytes a binding, got \d+. Use a smaller model.*--device cpu/,
    )
    expect(executor.byteLength()).toBe(held)
    expect(executor.counters().allocations).toBe(allocations)
  })

  test('attention with more channels than its WGSL holds is refused by the device, beyond all kernels by the graph', () => {
    const plan = (channels: number) => {
      const g = new Graph()
      const [q, k, v] = ['q', 'k', 'v'].map((name) => g.host(name, 1, channels)) as [never, never, never]
      const spans = g.host('spans', 4, 1, 'i32')
      attention(g, { q, k, v, spans, heads: 1, kvHeads: 1, channels, scale: 1 })
      return planGraph(g)
    }
    executor.load(plan(128)).free()
    const held = executor.byteLength()
    expect(() => executor.load(plan(129))).toThrow('webgpu: attention: C must be at most 128, got 129. Use a model')
    expect(executor.byteLength()).toBe(held)
    expect(() => plan(1025)).toThrow('attention: channels must be an integer of at most 1024, got 1025.')
  })

  test('a plan that fails to load leaves nothing behind', () => {
    const plan = filled(executor, 'left')
    const held = executor.byteLength()
    const broken = { ...plan, steps: plan.steps.map((step) => ({ ...step, kernel: { ...step.kernel, name: 'none' } })) }
    expect(() => executor.load(broken)).toThrow(
      'webgpu: none is not in the list of kernels. Export it from the file of its op and run npm run build.',
    )
    expect(executor.byteLength()).toBe(held)
  })

  test('a device lost in mid-run: runs and reads under way reject, later calls throw, close works', async () => {
    const { executor: lost } = await smallExecutor()
    const plan = lost.load(filled(lost, 'y', 4096))
    await plan.run('forward', { T: 4096 })
    await lost.readRegion('y', 0, 64)
    const fresh = lost.load(filled(lost, 'z'))
    void plan.run('forward', { T: 4096 })
    const pending = [
      lost.readRegion('y', 0, 64),
      lost.readRegion('y', 64, 4000),
      Promise.resolve(fresh.run('forward', { T: 1 })),
    ]
    // nothing is late: each is under way when the device goes
    await Promise.resolve()
    lost.device.destroy()
    for (const result of await Promise.allSettled(pending))
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(DeviceLostError) })
    expect(() => plan.run('forward', { T: 1 })).toThrow(/the device must stay until the run ends, got lost .*--resume/)
    expect(() => lost.allocate('more', 1)).toThrow(DeviceLostError)
    await expect(lost.readRegion('y', 0, 64)).rejects.toThrow(/got lost .*--resume, or with --device cpu/)
    await lost.close()
    expect(lost.byteLength()).toBe(0)
  })

  test('out of memory and invalid commands are thrown by the next call, with the size or the reason', async () => {
    const { gpu: own, executor: full } = await smallExecutor()
    const pop = vi.spyOn(own.device, 'popErrorScope').mockResolvedValue(new GPUOutOfMemoryError('no room'))
    full.allocate('big', 1000)
    pop.mockRestore()
    await expect(full.settle()).rejects.toThrow(
      "webgpu: region big of 4000 bytes must fit the device's memory, got no room. Use a smaller model or batch, or --device cpu.",
    )
    expect(() => full.allocate('more', 1)).toThrow('region big of 4000 bytes')
    await full.close()
    expect(full.byteLength()).toBe(0)
    const broken = new WebGpuExecutor(own, await compileAll(own.device, [], own.info.kind), { gpu: own })
    broken.guard('a test', () => broken.device.createBuffer({ size: 16, usage: 1 | GPUBufferUsage.STORAGE }))
    await expect(broken.settle()).rejects.toThrow(/webgpu: a test must be valid, got/)
    await broken.close()
    own.close()
  })

  test('closing frees regions, plans and staging; a closed executor says so', async () => {
    const closed = new WebGpuExecutor(gpu, await compileAll(gpu.device, [fillKernel], gpu.info.kind), { gpu })
    const plan = closed.load(filled(closed, 'y'))
    await plan.run('forward', { T: 64 })
    expect((await closed.readRegion('y', 0, 64)).every((x) => x === 3)).toBe(true)
    expect(closed.byteLength()).toBeGreaterThan(64 * 4)
    await closed.close()
    await closed.close()
    expect(closed.byteLength()).toBe(0)
    plan.free()
    expect(() => plan.run('forward', { T: 1 })).toThrow('webgpu: this executor is closed. Create another one.')
  })
})
