/** Cases of swiglu. */
import type { ConformanceCase } from '../../conformance.ts'
import { swigluReference } from './swiglu.reference.ts'
import { swiglu } from './swiglu.ts'

export const cases: readonly ConformanceCase[] = [1, 13].map((width) => ({
  name: `swiglu of ${width}`,
  activations: [width, width],
  parameters: [],
  build: (g, [a, b]) => swiglu(g, a!, b!),
  reference:
    () =>
    ([a, b]) =>
      swigluReference(a!, b!),
}))
