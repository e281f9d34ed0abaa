/** Cases of rope: one pair of channels, several heads. */
import type { ConformanceCase } from '../../conformance.ts'
import type { Graph, Tensor } from '../../graph.ts'
import { ropeReference } from './rope.reference.ts'
import { rope } from './rope.ts'

/** The leading rows of a parameter as a table with live rows and no gradient. */
function table(g: Graph, tensor: Tensor, like: Tensor): Tensor {
  const { storage } = tensor
  if (storage.kind !== 'persistent') throw new Error(`conformance: ${tensor.name} must be persistent.`)
  return g.persistent(tensor.name, storage.region, storage.offset, like.rows, tensor.width)
}

export const cases: readonly ConformanceCase[] = [
  [1, 2],
  [3, 8],
].map(([heads, channels]) => ({
  name: `rope ${heads}x${channels}`,
  activations: [heads! * channels!],
  parameters: [
    [512, channels! / 2],
    [512, channels! / 2],
  ],
  gradients: 1,
  build: (g, [x, cos, sin]) => rope(g, x!, table(g, cos!, x!), table(g, sin!, x!), heads!),
  reference:
    () =>
    ([x, cos, sin]) =>
      ropeReference(x!, cos!, sin!, heads!, channels!),
}))
