/** Cases of linear: one by one, primes, K beyond a block, N beyond a tile; its gradients run the other two modes of gemm. */
import type { ConformanceCase } from '../../conformance.ts'
import { linearReference } from './gemm.reference.ts'
import { linear } from './gemm.ts'

function linearCase(name: string, K: number, N: number, biased: boolean): ConformanceCase {
  return {
    name,
    activations: [K],
    parameters: biased
      ? [
          [N, K],
          [1, N],
        ]
      : [[N, K]],
    build: (g, [x, w, b]) => linear(g, x!, w!, b),
    reference:
      () =>
      ([x, w, b]) =>
        linearReference(x!, w!, b, K, N),
  }
}

export const cases: readonly ConformanceCase[] = [
  linearCase('linear', 37, 19, false),
  linearCase('linear, one by one', 1, 1, false),
  linearCase('linear, beyond a tile', 17, 131, false),
  linearCase('linear with bias, K beyond a block', 300, 24, true),
  linearCase('linear with bias, prime', 13, 67, true),
]
