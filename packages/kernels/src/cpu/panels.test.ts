import { afterAll, describe, expect, it } from 'vitest'
import { randomValues } from '../conformance.ts'
import { Graph } from '../graph.ts'
import { linear, scatterRows } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { createCpuExecutor } from './executor.ts'

/** Not whole panels of 8 columns, and in k more than a block of 256. */
const NARROW = 45
const WIDE = 300
const ELEMENTS = 2 * NARROW * WIDE + WIDE

describe.each([1, 2])('weights in panels, %i threads', async (threads) => {
  const executor = await createCpuExecutor({ threads })
  afterAll(() => executor.close())
  executor.allocate('w', ELEMENTS)
  const first = (g: Graph) => g.persistent('first', 'w', 0, NARROW, WIDE)

  /** Two weights, one of them twice, a bias. */
  function products(manyRuns: boolean) {
    const g = new Graph({ T: 150 })
    const x = g.host('x', g.symbol('T'), WIDE)
    const second = g.persistent('second', 'w', NARROW * WIDE, WIDE, NARROW)
    const bias = g.persistent('bias', 'w', 2 * NARROW * WIDE, 1, WIDE)
    const y = linear(g, linear(g, linear(g, x, first(g)), second, bias), first(g))
    const loaded = executor.load(planGraph(g), { manyRuns })
    return {
      loaded,
      async run(T: number) {
        loaded.write(x, randomValues(T * WIDE, T))
        await loaded.run('forward', { T })
        return loaded.read(y, T)
      },
    }
  }

  it('changes no bit, however the weights are written', async () => {
    const held = executor.byteLength()
    const plain = products(false)
    const bytes = executor.byteLength() - held
    const panels = products(true)
    expect(executor.byteLength() - held).toBeGreaterThanOrEqual(2 * bytes + 2 * 45 * 300 * 4)
    const agree = async () => {
      for (const T of [1, 7, 64, 150]) expect(await panels.run(T)).toEqual(await plain.run(T))
      return (await plain.run(1))[0]
    }
    const seen = new Set<number | undefined>()
    executor.writeRegion('w', 0, randomValues(ELEMENTS, 1))
    seen.add(await agree())
    executor.writeRegion('w', 3, randomValues(20, 2))
    seen.add(await agree())
    // by a plan, and by writing a plan's tensor
    const g = new Graph()
    const [rows, into] = [g.host('rows', 1, WIDE), g.host('into', 1, 1, 'i32')]
    const weight = first(g)
    scatterRows(g, rows, weight, into)
    const update = executor.load(planGraph(g))
    update.write(rows, randomValues(WIDE, 3))
    update.write(into, Int32Array.of(0))
    await update.run('forward')
    seen.add(await agree())
    update.write(weight, randomValues(WIDE, 4))
    seen.add(await agree())
    expect(seen.size).toBe(4)
    for (const { loaded } of [plain, panels]) loaded.free()
    update.free()
    expect(executor.byteLength()).toBe(held)
  })
})
