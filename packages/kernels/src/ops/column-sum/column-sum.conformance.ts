/** Cases of column_sum, which runs as the gradient of a bias only. */
import type { ConformanceCase } from '../../conformance.ts'
import { linearReference } from '../gemm/gemm.reference.ts'
import { linear } from '../gemm/gemm.ts'

export const cases: readonly ConformanceCase[] = [1, 5, 67].map((width) => ({
  name: `column sum of ${width}`,
  activations: [1],
  parameters: [
    [width, 1],
    [1, width],
  ],
  build: (g, [x, w, b]) => linear(g, x!, w!, b!),
  reference:
    () =>
    ([x, w, b]) =>
      linearReference(x!, w!, b!, 1, width),
}))
