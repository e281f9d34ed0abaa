/** Cases of add: alone, after a branch and before one, which decide whether its gradient is shared, copied or added. */
import type { ConformanceCase } from '../../conformance.ts'
import { linearReference } from '../gemm/gemm.reference.ts'
import { linear } from '../gemm/gemm.ts'
import { rmsNormReference } from '../rms-norm/rms-norm.reference.ts'
import { rmsNorm } from '../rms-norm/rms-norm.ts'
import { add } from './add.ts'

export const cases: readonly ConformanceCase[] = [
  {
    name: 'add',
    activations: [13, 13],
    parameters: [],
    build: (g, [a, b]) => add(g, a!, b!),
    reference:
      () =>
      ([a, b]) =>
        a!.map((value, i) => value + b![i]!),
  },
  {
    name: 'add after a branch, a residual block',
    activations: [16],
    parameters: [
      [16, 16],
      [1, 16],
    ],
    build: (g, [x, w, n]) => add(g, x!, linear(g, rmsNorm(g, x!, n!, 1e-6), w!)),
    reference:
      () =>
      ([x, w, n]) =>
        linearReference(rmsNormReference(x!, n!, 1e-6), w!, undefined, 16, 16).map((value, i) => value + x![i]!),
  },
  {
    name: 'add before a branch: the gradient is copied, then accumulated',
    activations: [16, 16],
    parameters: [[16, 16]],
    build: (g, [x, z, w]) => {
      const sum = add(g, x!, z!)
      return add(g, sum, add(g, linear(g, x!, w!), sum))
    },
    reference:
      () =>
      ([x, z, w]) =>
        linearReference(x!, w!, undefined, 16, 16).map((value, i) => value + 2 * (x![i]! + z![i]!)),
  },
]
