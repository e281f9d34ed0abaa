/** Gated linear unit: silu(gate) * up. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, kernel, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.n!, 64)
export const swigluKernel = kernel(import.meta.url, 'swiglu', 'g u +y', 'n', flat)
export const swigluBack = kernel(import.meta.url, 'swiglu_back', 'g u dy +dg +du', 'n', flat)

const swigluOp: OpDefinition = {
  name: 'swiglu',
  kernels: [swigluKernel, swigluBack],
  forward({ inputs: [g, u], outputs: [y] }, emit) {
    emit(swigluKernel, { g: g!, u: u!, y: y! }, { n: sizeWord(y!) })
  },
  backward({ inputs: [g, u], outputs: [y] }, context) {
    const dy = context.outputGradient(y!)
    const dg = dy && context.inputGradientOnce(g!)
    const du = dy && context.inputGradientOnce(u!)
    if (dy && dg && du) context.emit(swigluBack, { g: g!, u: u!, dy, dg, du }, { n: sizeWord(y!) })
  },
}

/** y = silu(gate) * up, element by element. */
export function swiglu(g: Graph, gate: Tensor, up: Tensor): Tensor {
  if (gate.width !== up.width) throw new Error(`swiglu: widths differ, got ${gate.width} and ${up.width}.`)
  const y = g.activation('swiglu', gate.rows, gate.width)
  g.append(swigluOp, [gate, up], [y])
  return y
}
