/** Cases of gelu, both kinds. */
import type { ConformanceCase } from '../../conformance.ts'
import { geluReference } from './gelu.reference.ts'
import { gelu } from './gelu.ts'

export const cases: readonly ConformanceCase[] = (['tanh', 'erf'] as const).flatMap((kind) =>
  [1, 13].map((width) => ({
    name: `gelu ${kind} of ${width}`,
    activations: [width],
    parameters: [],
    build: (g, [x]) => gelu(g, x!, kind),
    reference:
      () =>
      ([x]) =>
        geluReference(x!, kind),
  })),
)
