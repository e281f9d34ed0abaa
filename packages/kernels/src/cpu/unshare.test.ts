/** One thread runs in memory that is not shared, as a plain web page gives it, also when that memory grows under loaded plans. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Graph } from '../graph.ts'
import { fill } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { createCpuExecutor } from './executor.ts'
import { unshareMemory } from './unshare.ts'

test.each(['plain', 'fma'] as const)('%s: only the memory import changes', async (build) => {
  const bytes = await readFile(new URL(`../../build/kernels-${build}.wasm`, import.meta.url))
  const copy = unshareMemory(bytes)
  expect([...copy].filter((byte, i) => byte !== bytes[i])).toEqual([1])
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536 })
  const imports = { env: { memory, abort: () => {} } }
  expect(() => new WebAssembly.Instance(new WebAssembly.Module(bytes), imports)).toThrow('shared')
  expect(new WebAssembly.Instance(new WebAssembly.Module(copy), imports).exports.work).toBeTypeOf('function')
  expect(() => unshareMemory(copy)).toThrow('cpu: the build must import a shared memory')
})

test.each([1, 2])('%i threads: plans run on after the memory has grown', async (threads) => {
  const executor = await createCpuExecutor({ threads })
  const g = new Graph({ T: 64 })
  executor.allocate('y', 64)
  fill(g, g.persistent('y', 'y', 0, g.symbol('T'), 1), 3)
  const plan = executor.load(planGraph(g))
  for (const rows of [16, 32, 64]) {
    executor.allocate(`more ${rows}`, 1_000_000)
    plan.run('forward', { T: rows })
    expect((await executor.readRegion('y', 0, 64)).filter((x) => x === 3).length).toBe(rows)
  }
  await executor.close()
})
