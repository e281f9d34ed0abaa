/** Case of fill: live rows only. */
import type { ConformanceCase } from '../../conformance.ts'
import { Graph } from '../../graph.ts'
import { planGraph } from '../../plan.ts'
import { fill } from './fill.ts'

const WIDTH = 5

export const cases: readonly ConformanceCase[] = [
  {
    name: 'fill of the live rows only',
    async run(executor, T, region, poison) {
      const value = poison ? Number.NaN : 0.75
      const elements = (T + 3) * WIDTH
      const g = new Graph({ T: T + 3 })
      executor.allocate(region('y'), elements)
      fill(g, g.persistent('y', region('y'), 0, g.symbol('T'), WIDTH), value)
      const loaded = executor.load(planGraph(g))
      await loaded.run('forward', { T })
      loaded.free()
      const want = new Float32Array(elements).fill(value, 0, T * WIDTH)
      return { got: await executor.readRegion(region('y'), 0, elements), want }
    },
  },
]
