/** Cases of rmsNorm. Epsilon is large so that central differences can follow. */
import type { ConformanceCase } from '../../conformance.ts'
import { rmsNormReference } from './rms-norm.reference.ts'
import { rmsNorm } from './rms-norm.ts'

export const cases: readonly ConformanceCase[] = [1, 37, 131].map((width) => ({
  name: `rmsNorm of ${width}`,
  activations: [width],
  parameters: [[1, width]],
  build: (g, [x, w]) => rmsNorm(g, x!, w!, 1e-2),
  reference:
    () =>
    ([x, w]) =>
      rmsNormReference(x!, w!, 1e-2),
}))
