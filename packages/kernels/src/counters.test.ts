/** After its first run a plan only replays: nothing is allocated, bound, compiled or read back, and one start does the whole phase. */
import { afterAll, describe, expect, test, vi } from 'vitest'
import { buildBackward } from './autodiff.ts'
import { createCpuExecutor } from './cpu/executor.ts'
import type { Executor } from './executor.ts'
import { Graph } from './graph.ts'
import { gelu, linear } from './ops/index.ts'
import { forwardCalls, planGraph } from './plan.ts'
import { adapterForTests } from './webgpu/adapter.fixture.ts'
import { createWebGpuExecutor } from './webgpu/executor.ts'

function trainable(executor: Executor) {
  executor.allocate('p', 64)
  executor.allocate('g', 64)
  const g = new Graph({ T: 9 })
  const weight = g.persistent('w', 'p', 0, 8, 8, g.persistent('dw', 'g', 0, 8, 8))
  const x = g.host('x', g.symbol('T'), 8)
  const y = gelu(g, linear(g, linear(g, x, weight), weight), 'erf')
  const dy = g.host('dy', y.rows, y.width)
  const plan = planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g, [[y, dy]]) } })
  return { loaded: executor.load(plan), x, y, dy, calls: plan.steps.length }
}

async function replay(executor: Executor) {
  const { loaded, x, dy, y, calls } = trainable(executor)
  const step = async (T: number) => {
    loaded.write(x, new Float32Array(T * 8).fill(0.5))
    loaded.write(dy, new Float32Array(T * 8).fill(0.1))
    await loaded.run('forward', { T })
    await loaded.run('backward', { T })
  }
  await step(9)
  const before = executor.counters()
  const held = executor.byteLength()
  for (const T of [9, 3, 1, 9]) await step(T)
  const after = executor.counters()
  expect(after).toEqual({ ...before, runs: before.runs + 8, starts: before.starts + 8 })
  expect(executor.byteLength()).toBe(held)
  expect(before.bindings).toBe(calls)
  // two reads in one turn are one wait, whose staging buffer is kept
  const [values, other] = await Promise.all([loaded.read(y, 9), loaded.read(y, 9)])
  expect(values).toEqual(other)
  const waits = executor.counters().readBacks - after.readBacks
  await Promise.all([loaded.read(y, 9), loaded.read(y, 9)])
  expect(executor.counters().allocations).toBe(before.allocations + (executor.kind === 'webgpu' ? 1 : 0))
  return waits
}

test.each([1, 2])('CPU, %i threads', async (threads) => {
  const executor = await createCpuExecutor({ threads })
  expect(await replay(executor)).toBe(2)
  await executor.close()
})

describe.runIf(await adapterForTests('counters'))('WebGPU', async () => {
  const executor = await createWebGpuExecutor()
  afterAll(() => executor.close())

  test('a replay', async () => {
    const made = (
      [
        'createBuffer',
        'createBindGroup',
        'createComputePipeline',
        'createComputePipelineAsync',
        'createShaderModule',
      ] as const
    ).map((name) => vi.spyOn(executor.device, name))
    const submits = vi.spyOn(executor.device.queue, 'submit')
    const { allocations, bindings } = executor.counters()
    expect(await replay(executor)).toBe(1)
    const counted = executor.counters()
    // the counters are honest: what they say is what the device was asked for, the canaries' buffer aside
    expect(made[0]!.mock.calls.length).toBe(counted.allocations - allocations + 1)
    expect(made[1]!.mock.calls.length).toBe(counted.bindings - bindings)
    for (const spy of made.slice(2)) expect(spy).not.toHaveBeenCalled()
    expect(submits.mock.calls.length).toBe(counted.starts + counted.readBacks + 1)
    vi.restoreAllMocks()
  })
})
