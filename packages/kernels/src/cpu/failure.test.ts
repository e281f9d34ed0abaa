/** What goes wrong on the CPU executor: each failure is one error that says what, where and how to go on, and none hangs. */
import { readdir } from 'node:fs/promises'
import type { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Graph } from '../graph.ts'
import { fill, gather } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { type CpuBuild, type CpuExecutor, createCpuExecutor } from './executor.ts'

function filled(executor: CpuExecutor, region: string, rows = 64) {
  executor.allocate(region, rows)
  const g = new Graph()
  fill(g, g.persistent('y', region, 0, rows, 1), 3)
  return executor.load(planGraph(g))
}

function workersOf(executor: CpuExecutor): Worker[] {
  return Reflect.get(executor, 'workers') as Worker[]
}

test('a worker that dies between runs: the next call says so, close still works', async () => {
  const executor = await createCpuExecutor({ threads: 2 })
  const plan = filled(executor, 'y')
  plan.run('forward')
  await workersOf(executor)[0]!.terminate()
  expect(() => plan.run('forward')).toThrow(/cpu: worker thread 1 must live .*got stopped: it ended.*--resume/)
  expect(() => executor.allocate('more', 1)).toThrow('worker thread 1')
  await executor.close()
  expect(executor.byteLength()).toBe(0)
})

test('a worker that dies in mid-run does not hang the run', async () => {
  const executor = await createCpuExecutor({ threads: 2 })
  const plan = filled(executor, 'y')
  ;(Reflect.get(executor, 'control') as Int32Array)[8] = 1
  // ended, and the event that would tell is not handled yet: the run waits for it in vain
  const ended = workersOf(executor)[0]!.terminate()
  const start = performance.now()
  while (performance.now() - start < 200);
  expect(() => plan.run('forward')).toThrow(/cpu: kernel fill must be finished by every thread, got a trap.*died/)
  await ended
  await executor.close()
})

test.each([1, 2])('an index outside memory on %i threads: an error that names the kernel', async (threads) => {
  const executor = await createCpuExecutor({ threads })
  const g = new Graph()
  const [table, csr] = [g.host('table', 3, 5), g.host('csr', 3, 1, 'i32')]
  gather(g, { table, csr, rows: 1 })
  const plan = executor.load(planGraph(g))
  plan.write(csr, Int32Array.of(0, 1, 150_000_000))
  expect(() => plan.run('forward')).toThrow(/cpu: kernel gather must be finished.*outside its table.*Check the lists/)
  expect(() => plan.run('forward')).toThrow('cpu: kernel gather')
  await executor.close()
})

test('memory beyond the maximum is refused and changes nothing', async () => {
  const executor = await createCpuExecutor()
  const held = executor.byteLength()
  expect(() => executor.allocate('huge', 2 ** 30)).toThrow(
    /cpu: region huge must fit in WebAssembly's 4294967296 bytes, .*Use a smaller model or batch/,
  )
  expect(executor.byteLength()).toBe(held)
  const plan = filled(executor, 'small')
  plan.run('forward')
  expect((await executor.readRegion('small', 0, 64)).every((x) => x === 3)).toBe(true)
  await executor.close()
})

test('closing frees regions and plans; a closed executor and a freed plan say so', async () => {
  const executor = await createCpuExecutor({ threads: 2 })
  const [first, second] = [filled(executor, 'a', 5000), filled(executor, 'b', 300)]
  first.free()
  first.free()
  expect(() => first.run('forward')).toThrow('run: this plan was freed. Load it again.')
  await executor.close()
  await executor.close()
  expect(executor.byteLength()).toBe(0)
  expect(() => second.run('forward')).toThrow('cpu: this executor is closed. Create another one.')
  second.free()
  expect(executor.byteLength()).toBe(0)
})

/** wide comes last: what it switches on in V8 stays on. */
const builds: readonly CpuBuild[] = ['fma', 'plain', ...(process.arch === 'x64' ? (['wide'] as const) : [])]
if (!builds.includes('wide')) console.warn(`cpu/failure: build wide SKIPPED, it is for x64, got ${process.arch}.`)

test.each(builds)(
  'build %s imports its memory and no function: nothing can call JavaScript in a run',
  async (build) => {
    for (const threads of [1, 2]) {
      const executor = await createCpuExecutor({ build, threads })
      // what this very executor runs, whatever file it came from
      const module = Reflect.get(executor, 'module') as WebAssembly.Module
      expect(WebAssembly.Module.imports(module).map(({ name }) => name)).toEqual(['memory'])
      const run = WebAssembly.Module.exports(module).map(({ name }) => name)
      expect(run).toEqual(expect.arrayContaining(['work', 'serve', 'kernelList']))
      await executor.close()
    }
  },
)

test('the files of the build are those the executors ask for', async () => {
  const files = await readdir(new URL('../../build/', import.meta.url))
  expect(files.filter((name) => name.endsWith('.wasm')).sort()).toEqual(['kernels-fma.wasm', 'kernels-plain.wasm'])
})
