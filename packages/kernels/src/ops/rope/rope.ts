/** Rotary positions, split halves. The tables come from the host (they hold multimodal positions). */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, float, int, kernel, type OpDefinition, rowsWord } from '../definition.ts'

export const ropeKernel = kernel(import.meta.url, 'rope', 'x cos sin +y', 'rows heads C sign:f', (w) =>
  flatWorkgroups((w.rows! * w.heads! * w.C!) / 2, 64),
)

const ropeOp: OpDefinition = {
  name: 'rope',
  kernels: [ropeKernel],
  forward({ inputs: [x, cos, sin], outputs: [y], attributes: { heads, sign } }, emit) {
    const words = {
      rows: rowsWord(cos!.rows),
      heads: int(Number(heads)),
      C: int(cos!.width * 2),
      sign: float(Number(sign)),
    }
    emit(ropeKernel, { x: x!, cos: cos!, sin: sin!, y: y! }, words)
  },
  backward({ inputs: [x, cos, sin], outputs: [y], attributes: { heads, sign } }, context) {
    const dy = context.outputGradient(y!)
    const dx = dy && context.inputGradientOnce(x!)
    if (!dy || !dx) return
    const words = {
      rows: rowsWord(cos!.rows),
      heads: int(Number(heads)),
      C: int(cos!.width * 2),
      sign: float(-Number(sign)),
    }
    context.emit(ropeKernel, { x: dy, cos: cos!, sin: sin!, y: dx }, words)
  },
}

/** Rotates x[T, heads*C] (or its view [T*heads, C]) by cos, sin [T, C/2], halves split: y_i = x_i cos - sign x_{i+C/2} sin. */
export function rope(g: Graph, x: Tensor, cos: Tensor, sin: Tensor, heads: number, sign: 1 | -1 = 1): Tensor {
  if (x.rows.count * x.width !== cos.rows.count * heads * cos.width * 2)
    throw new Error(
      `rope: x ${x.name} of width ${x.width} is not ${heads} heads of ${cos.width * 2} channels for each row of ${cos.name}.`,
    )
  const y = g.activation(`rope(${x.name})`, x.rows, x.width)
  g.append(ropeOp, [x, cos, sin], [y], { heads, sign })
  return y
}
