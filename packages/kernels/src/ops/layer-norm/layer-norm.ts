/** Layer norm of each row. Saves stats[rows, 2] = mean, rstd for its backward. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, float, int, kernel, type OpDefinition, rowsWord, type WordView } from '../definition.ts'

const rowGroups = (w: WordView) => flatWorkgroups(w.rows!, 1)
export const layerNormKernel = kernel(import.meta.url, 'layer_norm', 'x w b +y +stats', 'rows width eps:f', rowGroups)
export const layerNormDx = kernel(import.meta.url, 'layer_norm_dx', 'x w stats dy +dx', 'rows width acc', rowGroups)
export const layerNormDw = kernel(
  import.meta.url,
  'layer_norm_dw',
  'x stats dy +dw +db',
  'rows width',
  (w) => flatWorkgroups(w.width!, 64),
  { chunk: { of: 'width', items: 64 } },
)

const layerNormOp: OpDefinition = {
  name: 'layerNorm',
  kernels: [layerNormKernel, layerNormDx, layerNormDw],
  forward({ inputs: [x, w, b], outputs: [y, stats], attributes }, emit) {
    emit(
      layerNormKernel,
      { x: x!, w: w!, b: b!, y: y!, stats: stats! },
      { rows: rowsWord(x!.rows), width: int(x!.width), eps: float(Number(attributes.eps)) },
    )
  },
  backward({ inputs: [x, w, b], outputs: [y, stats] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const size = { rows: rowsWord(x!.rows), width: int(x!.width) }
    const dx = context.inputGradient(x!)
    if (dx) context.emit(layerNormDx, { x: x!, w: w!, stats: stats!, dy, dx: dx.tensor }, { ...size, acc: int(dx.acc) })
    const dw = context.inputGradient(w!)
    const db = context.inputGradient(b!)
    if (dw && db) context.emit(layerNormDw, { x: x!, stats: stats!, dy, dw: dw.tensor, db: db.tensor }, size)
  },
}

/** y = (x - mean) * rstd * w + b of each row; biased variance. w, b are [1, width], both trained or both frozen. */
export function layerNorm(g: Graph, x: Tensor, w: Tensor, b: Tensor, eps: number): Tensor {
  if (w.rows.count * w.width !== x.width)
    throw new Error(`layerNorm: weight ${w.name} has ${w.rows.count * w.width} elements, x has width ${x.width}.`)
  if (!w.gradient !== !b.gradient)
    throw new Error(`layerNorm: ${w.name} and ${b.name} must both have a gradient, or neither.`)
  const y = g.activation(`layerNorm(${w.name})`, x.rows, x.width)
  const stats = g.activation(`stats(${w.name})`, x.rows, 2)
  g.append(layerNormOp, [x, w, b], [y, stats], { eps })
  return y
}
