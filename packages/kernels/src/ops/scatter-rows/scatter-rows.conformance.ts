/** Case of scatterRows: rows out of order, some skipped, the rest of the pool untouched. */
import { type ConformanceCase, randomValues } from '../../conformance.ts'
import { Graph } from '../../graph.ts'
import { planGraph } from '../../plan.ts'
import { scatterRows } from './scatter-rows.ts'

const WIDTH = 5

export const cases: readonly ConformanceCase[] = [
  {
    name: 'scatterRows, some rows skipped',
    async run(executor, T, region, poison) {
      const poolRows = 2 * T + 7
      const g = new Graph({ T: T + 3 })
      executor.allocate(region('pool'), poolRows * WIDTH)
      const pool = g.persistent('pool', region('pool'), 0, poolRows, WIDTH)
      const [x, dst] = [g.host('x', g.symbol('T'), WIDTH), g.host('dst', g.symbol('T'), 1, 'i32')]
      scatterRows(g, x, pool, dst)
      const loaded = executor.load(planGraph(g))
      const values = randomValues(T * WIDTH, 6)
      if (poison) values[0] = Number.NaN
      // odd rows of the pool, from its end on
      const places = Int32Array.from({ length: T }, (_, row) => (row % 3 === 2 ? -1 : poolRows - 2 - 2 * row))
      loaded.write(x, values)
      loaded.write(dst, places)
      await loaded.run('forward', { T })
      loaded.free()
      const want = new Float32Array(poolRows * WIDTH)
      for (const [row, place] of places.entries())
        if (place >= 0) want.set(values.subarray(row * WIDTH, (row + 1) * WIDTH), place * WIDTH)
      return { got: await executor.readRegion(region('pool'), 0, want.length), want }
    },
  },
]
