/** One value everywhere. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, float, kernel, type OpDefinition, sizeWord } from '../definition.ts'

export const fillKernel = kernel(import.meta.url, 'fill', '+y', 'n value:f', (w) => flatWorkgroups(w.n!, 64))

const fillOp: OpDefinition = {
  name: 'fill',
  kernels: [fillKernel],
  forward({ outputs: [y], attributes: { value } }, emit) {
    emit(fillKernel, { y: y! }, { n: sizeWord(y!), value: float(Number(value)) })
  },
}

/** y = value everywhere (clears the gradients before a step). */
export function fill(g: Graph, y: Tensor, value: number): void {
  g.append(fillOp, [], [y], { value })
}
