/** Writes rows into a persistent pool (keys and values of the sampler). */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, int, kernel, type OpDefinition, rowsWord } from '../definition.ts'

export const scatterRowsKernel = kernel(import.meta.url, 'scatter_rows', 'x dst +pool', 'rows width', (w) =>
  flatWorkgroups(w.rows! * w.width!, 64),
)

const scatterRowsOp: OpDefinition = {
  name: 'scatterRows',
  kernels: [scatterRowsKernel],
  forward({ inputs: [x, dst], outputs: [pool] }, emit) {
    emit(scatterRowsKernel, { x: x!, dst: dst!, pool: pool! }, { rows: rowsWord(dst!.rows), width: int(pool!.width) })
  },
}

/** pool[dst[i]] = x[i]; dst i32 [T, 1], distinct; a negative dst skips the row. No gradient: pools are for sampling. */
export function scatterRows(g: Graph, x: Tensor, pool: Tensor, dst: Tensor): void {
  if (x.rows.count * x.width !== dst.rows.count * pool.width)
    throw new Error(`scatterRows: ${x.name} does not have rows of width ${pool.width} for each of ${dst.name}.`)
  g.append(scatterRowsOp, [x, dst], [pool])
}
