/** Sums of table rows named by a CSR index: embeddings, patch position interpolation, image rows placed among text rows. */
import type { Graph, RowsLike, Tensor } from '../../graph.ts'
import { rowsOf } from '../../graph.ts'
import { type Emit, flatWorkgroups, int, kernel, type OpDefinition, rowsWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.rows! * w.width!, 64)
export const gatherKernel = kernel(import.meta.url, 'gather', 'table csr +y', 'rows width colsOffset acc', flat)
export const gatherWeighted = kernel(
  import.meta.url,
  'gather_weighted',
  'table csr weights +y',
  'rows width colsOffset acc',
  flat,
)

function emitGather(
  emit: Emit,
  table: Tensor,
  csr: Tensor,
  weights: Tensor | undefined,
  y: Tensor,
  colsOffset: number,
  acc: 0 | 1,
): void {
  const words = { rows: rowsWord(y.rows), width: int(y.width), colsOffset: int(colsOffset), acc: int(acc) }
  if (weights) emit(gatherWeighted, { table, csr, weights, y }, words)
  else emit(gatherKernel, { table, csr, y }, words)
}

const gatherOp: OpDefinition = {
  name: 'gather',
  kernels: [gatherKernel, gatherWeighted],
  forward({ inputs: [table, csr, weights], outputs: [y], attributes: { weighted, colsOffset, acc } }, emit) {
    emitGather(emit, table!, csr!, weighted ? weights : undefined, y!, Number(colsOffset), acc ? 1 : 0)
  },
  backward({ inputs, outputs: [y], attributes: { weighted, transposed, colsOffsetTransposed } }, context) {
    const dy = context.outputGradient(y!)
    const dTable = dy && context.inputGradient(inputs[0]!)
    if (!dy || !dTable) return
    if (!transposed)
      throw new Error(
        `gather: a gradient for ${inputs[0]!.name} needs the transposed index. Pass csrTransposed to gather().`,
      )
    const csr = inputs[weighted ? 3 : 2]!
    emitGather(
      context.emit,
      dy,
      csr,
      weighted ? inputs[4] : undefined,
      dTable.tensor,
      Number(colsOffsetTransposed),
      dTable.acc,
    )
  },
}

export interface GatherOptions {
  readonly table: Tensor
  /** i32: ptr[capacity of rows + 1], then the table rows of each output row. */
  readonly csr: Tensor
  /** The transposed index: ptr[capacity of the table's rows + 1], then output rows. Needed for the table's gradient. */
  readonly csrTransposed?: Tensor
  /** f32, one per entry of csr after ptr (weights[0] belongs to the first column entry). */
  readonly weights?: Tensor
  readonly weightsTransposed?: Tensor
  readonly rows: RowsLike
  /** Adds into this tensor's own memory; nothing may have read it before. */
  readonly addTo?: Tensor
}

/** y[i] = (addTo[i] +) sum over the row's entries of (weight *) table[entry], in order. An empty row gives 0, or addTo's row. */
export function gather(g: Graph, options: GatherOptions): Tensor {
  const { table, csr, csrTransposed, weights, weightsTransposed, addTo } = options
  const rows = rowsOf(options.rows)
  if (addTo) checkAddTo(g, addTo, table)
  if (weights && csrTransposed && !weightsTransposed)
    throw new Error('gather: csrTransposed with weights needs weightsTransposed.')
  const y = addTo ? g.reshape(addTo, addTo.rows, addTo.width) : g.activation(`gather(${table.name})`, rows, table.width)
  const inputs = [
    table,
    csr,
    ...(weights ? [weights] : []),
    ...(csrTransposed ? [csrTransposed] : []),
    ...(weightsTransposed ? [weightsTransposed] : []),
  ]
  g.append(gatherOp, inputs, [y], {
    weighted: weights ? 1 : 0,
    transposed: csrTransposed ? 1 : 0,
    acc: addTo ? 1 : 0,
    colsOffset: g.capacityRows(y.rows) + 1,
    colsOffsetTransposed: g.capacityRows(table.rows) + 1,
  })
  return y
}

function checkAddTo(g: Graph, addTo: Tensor, table: Tensor): void {
  if (addTo.width !== table.width) throw new Error(`gather: addTo has width ${addTo.width}, the table ${table.width}.`)
  if (addTo.storage.kind !== 'arena' || addTo.storage.host)
    throw new Error(`gather: addTo must be an activation, got ${addTo.name}.`)
  const root = g.root(addTo)
  const reader = g.ops.find((op) => op.inputs.some((input) => g.root(input) === root))
  if (reader)
    throw new Error(
      `gather: addTo ${addTo.name} was already read by ${reader.definition.name}; adding in place would change what its backward sees.`,
    )
}
