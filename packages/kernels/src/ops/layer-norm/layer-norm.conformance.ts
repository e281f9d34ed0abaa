/** Cases of layerNorm. Epsilon is large so that central differences can follow. */
import type { ConformanceCase } from '../../conformance.ts'
import { layerNormReference } from './layer-norm.reference.ts'
import { layerNorm } from './layer-norm.ts'

export const cases: readonly ConformanceCase[] = [1, 37, 131].map((width) => ({
  name: `layerNorm of ${width}`,
  activations: [width],
  parameters: [
    [1, width],
    [1, width],
  ],
  build: (g, [x, w, b]) => layerNorm(g, x!, w!, b!, 1e-2),
  reference:
    () =>
    ([x, w, b]) =>
      layerNormReference(x!, w!, b!, 1e-2),
}))
