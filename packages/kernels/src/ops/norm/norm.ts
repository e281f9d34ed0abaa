/** RMSNorm and LayerNorm over the width of each row. Statistics are kept for the backward pass. */
import type { Graph, Tensor } from '../../graph.ts'
import {
  flatWorkgroups,
  float,
  int,
  type KernelSpec,
  type OpDefinition,
  rowsWord,
  type WordView,
} from '../definition.ts'

const perRow = (w: WordView) => flatWorkgroups(w.rows!, 64)
const perColumn = (w: WordView) => flatWorkgroups(w.width!, 64)
const at = (name: string) => new URL(`./${name}.wgsl`, import.meta.url)

export const rmsNormKernel: KernelSpec = {
  name: 'rms_norm',
  bindings: ['x', 'w', '+y', '+rstd'],
  words: ['rows', 'width', 'eps:f'],
  wgsl: at('rms_norm'),
  workgroups: perRow,
}
export const rmsNormDx: KernelSpec = {
  name: 'rms_norm_dx',
  bindings: ['x', 'w', 'rstd', 'dy', '+dx'],
  words: ['rows', 'width', 'acc'],
  wgsl: at('rms_norm_dx'),
  workgroups: perRow,
}
export const rmsNormDw: KernelSpec = {
  name: 'rms_norm_dw',
  bindings: ['x', 'rstd', 'dy', '+dw'],
  words: ['rows', 'width'],
  wgsl: at('rms_norm_dw'),
  workgroups: perColumn,
}
export const layerNormKernel: KernelSpec = {
  name: 'layer_norm',
  bindings: ['x', 'w', 'b', '+y', '+stats'],
  words: ['rows', 'width', 'eps:f'],
  wgsl: at('layer_norm'),
  workgroups: perRow,
}
export const layerNormDx: KernelSpec = {
  name: 'layer_norm_dx',
  bindings: ['x', 'w', 'stats', 'dy', '+dx'],
  words: ['rows', 'width', 'acc'],
  wgsl: at('layer_norm_dx'),
  workgroups: perRow,
}
export const layerNormDw: KernelSpec = {
  name: 'layer_norm_dw',
  bindings: ['x', 'stats', 'dy', '+dw', '+db'],
  words: ['rows', 'width'],
  wgsl: at('layer_norm_dw'),
  workgroups: perColumn,
}

const size = (x: Tensor) => ({ rows: rowsWord(x.rows), width: int(x.width) })

const rmsDefinition: OpDefinition = {
  name: 'rmsNorm',
  kernels: [rmsNormKernel, rmsNormDx, rmsNormDw],
  forward({ inputs: [x, w], outputs: [y, rstd], attributes }, emit) {
    emit(rmsNormKernel, { x: x!, w: w!, y: y!, rstd: rstd! }, { ...size(x!), eps: float(attributes.eps as number) })
  },
  backward({ inputs: [x, w], outputs: [y, rstd] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const dw = context.inputGradient(w!)
    if (dw) context.emit(rmsNormDw, { x: x!, rstd: rstd!, dy, dw: dw.tensor }, size(x!))
    const dx = context.inputGradient(x!)
    if (dx) context.emit(rmsNormDx, { x: x!, w: w!, rstd: rstd!, dy, dx: dx.tensor }, { ...size(x!), acc: int(dx.acc) })
  },
}

const layerDefinition: OpDefinition = {
  name: 'layerNorm',
  kernels: [layerNormKernel, layerNormDx, layerNormDw],
  forward({ inputs: [x, w, b], outputs: [y, stats], attributes }, emit) {
    emit(
      layerNormKernel,
      { x: x!, w: w!, b: b!, y: y!, stats: stats! },
      { ...size(x!), eps: float(attributes.eps as number) },
    )
  },
  backward({ inputs: [x, w, b], outputs: [y, stats] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const dw = context.inputGradient(w!)
    const db = context.inputGradient(b!)
    if (dw && db) context.emit(layerNormDw, { x: x!, stats: stats!, dy, dw: dw.tensor, db: db.tensor }, size(x!))
    const dx = context.inputGradient(x!)
    if (dx)
      context.emit(layerNormDx, { x: x!, w: w!, stats: stats!, dy, dx: dx.tensor }, { ...size(x!), acc: int(dx.acc) })
  },
}

function checkWidth(op: string, x: Tensor, parameter: Tensor): void {
  if (parameter.width !== x.width || parameter.rows.count !== 1)
    throw new Error(
      `${op}: ${parameter.name} must be [1, ${x.width}], got [${parameter.rows.count}, ${parameter.width}].`,
    )
}

/** y = w x / sqrt(mean(x^2) + eps), row by row. */
export function rmsNorm(graph: Graph, x: Tensor, w: Tensor, eps: number): Tensor {
  checkWidth('rmsNorm', x, w)
  const y = graph.activation(`${w.name}.y`, x.rows, x.width)
  graph.append(rmsDefinition, [x, w], [y, graph.activation(`${w.name}.rstd`, x.rows, 1)], { eps })
  return y
}

/** y = w (x - mean) / sqrt(var + eps) + b, row by row, biased variance. */
export function layerNorm(graph: Graph, x: Tensor, w: Tensor, b: Tensor, eps: number): Tensor {
  checkWidth('layerNorm', x, w)
  checkWidth('layerNorm', x, b)
  const y = graph.activation(`${w.name}.y`, x.rows, x.width)
  graph.append(layerDefinition, [x, w, b], [y, graph.activation(`${w.name}.stats`, x.rows, 2)], { eps })
  return y
}
