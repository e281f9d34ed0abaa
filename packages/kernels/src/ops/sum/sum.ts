/** Reductions and fills: column sums (bias gradients), the global gradient norm in two stages, constant fill. */
import { flatWorkgroups, type KernelSpec } from '../definition.ts'

export const columnSum: KernelSpec = {
  name: 'column_sum',
  bindings: ['dy', '+db'],
  words: ['rows', 'width'],
  wgsl: new URL('./column_sum.wgsl', import.meta.url),
  workgroups: (w) => flatWorkgroups(w.width!, 64),
}

/** Elements a partial sum of squares covers. */
export const squareBlock = 4096

export const squareSum: KernelSpec = {
  name: 'square_sum',
  bindings: ['x', '+partial'],
  words: ['n'],
  wgsl: new URL('./square_sum.wgsl', import.meta.url),
  workgroups: (w) => flatWorkgroups(Math.ceil(w.n! / squareBlock), 64),
}

export const normFinish: KernelSpec = {
  name: 'norm_finish',
  bindings: ['partial', '+norm'],
  words: ['n'],
  wgsl: new URL('./norm_finish.wgsl', import.meta.url),
  workgroups: () => [1, 1, 1],
}

export const fill: KernelSpec = {
  name: 'fill',
  bindings: ['+y'],
  words: ['n', 'value:f'],
  wgsl: new URL('./fill.wgsl', import.meta.url),
  workgroups: (w) => flatWorkgroups(w.n!, 64),
}
