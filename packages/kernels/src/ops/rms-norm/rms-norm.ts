/** Root-mean-square norm of each row. Saves rstd[rows, 1] for its backward. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, float, int, kernel, type OpDefinition, rowsWord, type WordView } from '../definition.ts'

const rowGroups = (w: WordView) => flatWorkgroups(w.rows!, 1)
export const rmsNormKernel = kernel(import.meta.url, 'rms_norm', 'x w +y +rstd', 'rows width eps:f', rowGroups)
export const rmsNormDx = kernel(import.meta.url, 'rms_norm_dx', 'x w rstd dy +dx', 'rows width acc', rowGroups)
export const rmsNormDw = kernel(
  import.meta.url,
  'rms_norm_dw',
  'x rstd dy +dw',
  'rows width',
  (w) => flatWorkgroups(w.width!, 64),
  { chunk: { of: 'width', items: 64 } },
)

const rmsNormOp: OpDefinition = {
  name: 'rmsNorm',
  kernels: [rmsNormKernel, rmsNormDx, rmsNormDw],
  forward({ inputs: [x, w], outputs: [y, rstd], attributes }, emit) {
    emit(
      rmsNormKernel,
      { x: x!, w: w!, y: y!, rstd: rstd! },
      { rows: rowsWord(x!.rows), width: int(x!.width), eps: float(Number(attributes.eps)) },
    )
  },
  backward({ inputs: [x, w], outputs: [y, rstd] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const size = { rows: rowsWord(x!.rows), width: int(x!.width) }
    const dx = context.inputGradient(x!)
    if (dx) context.emit(rmsNormDx, { x: x!, w: w!, rstd: rstd!, dy, dx: dx.tensor }, { ...size, acc: int(dx.acc) })
    const dw = context.inputGradient(w!)
    if (dw) context.emit(rmsNormDw, { x: x!, rstd: rstd!, dy, dw: dw.tensor }, size)
  },
}

/** y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps) of each row. w is [1, width]. */
export function rmsNorm(g: Graph, x: Tensor, w: Tensor, eps: number): Tensor {
  if (w.rows.count * w.width !== x.width)
    throw new Error(`rmsNorm: weight ${w.name} has ${w.rows.count * w.width} elements, x has width ${x.width}.`)
  const y = g.activation(`rmsNorm(${w.name})`, x.rows, x.width)
  const rstd = g.activation(`rstd(${w.name})`, x.rows, 1)
  g.append(rmsNormOp, [x, w], [y, rstd], { eps })
  return y
}
