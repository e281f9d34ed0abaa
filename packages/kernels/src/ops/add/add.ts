/** Residual addition, and accumulation in place for gradients. */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, kernel, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.n!, 64)
export const addKernel = kernel(import.meta.url, 'add', 'a b +y', 'n', flat)
export const accumulate = kernel(import.meta.url, 'accumulate', 'x +y', 'n', flat)

const addOp: OpDefinition = {
  name: 'add',
  kernels: [addKernel, accumulate],
  forward({ inputs: [a, b], outputs: [y] }, emit) {
    emit(addKernel, { a: a!, b: b!, y: y! }, { n: sizeWord(y!) })
  },
  backward({ inputs, outputs: [y] }, context) {
    const dy = context.outputGradient(y!)
    if (dy) context.passGradient(inputs, dy)
  },
}

/** y = a + b, same shapes, two different tensors. */
export function add(g: Graph, a: Tensor, b: Tensor): Tensor {
  if (a.width !== b.width) throw new Error(`add: widths differ, got ${a.width} and ${b.width}.`)
  if (g.root(a) === g.root(b)) throw new Error(`add: ${a.name} cannot be added to itself.`)
  const y = g.activation('add', a.rows, a.width)
  g.append(addOp, [a, b], [y])
  return y
}
