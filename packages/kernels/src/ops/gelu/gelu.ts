/** Gaussian error linear unit. kind 0: tanh form, 1: erf form. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, int, kernel, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.n!, 64)
export const geluKernel = kernel(import.meta.url, 'gelu', 'x +y', 'n kind', flat)
export const geluBack = kernel(import.meta.url, 'gelu_back', 'x dy +dx', 'n kind', flat)

const geluOp: OpDefinition = {
  name: 'gelu',
  kernels: [geluKernel, geluBack],
  forward({ inputs: [x], outputs: [y], attributes: { kind } }, emit) {
    emit(geluKernel, { x: x!, y: y! }, { n: sizeWord(y!), kind: int(Number(kind)) })
  },
  backward({ inputs: [x], outputs: [y], attributes: { kind } }, context) {
    const dy = context.outputGradient(y!)
    const dx = dy && context.inputGradientOnce(x!)
    if (dy && dx) context.emit(geluBack, { x: x!, dy, dx }, { n: sizeWord(y!), kind: int(Number(kind)) })
  },
}

/** y = x * Phi(x): exact ('erf') or by tanh, as the checkpoint says. */
export function gelu(g: Graph, x: Tensor, kind: 'tanh' | 'erf'): Tensor {
  const y = g.activation('gelu', x.rows, x.width)
  g.append(geluOp, [x], [y], { kind: kind === 'tanh' ? 0 : 1 })
  return y
}
