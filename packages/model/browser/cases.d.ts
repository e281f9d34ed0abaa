/** What bundle.ts puts into the page's script: the conformance cases of every op of the kernels. */
declare module '#cases' {
  import type { ConformanceCase } from '@axpo/kernels/conformance'
  export const cases: readonly ConformanceCase[]
}
