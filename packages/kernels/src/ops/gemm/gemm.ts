/**
 * Matrix product and the `linear` op. C[M, N] = op(A)·op(B): mode 0 A[M,K]·B[N,K]^T, 1 A[M,K]·B[K,N], 2 A[K,M]^T·B[K,N]; acc 1 adds to C.
 * K is summed in one order per element, whatever M is.
 */
import type { Graph, Tensor } from '../../graph.ts'
import { columnSum } from '../column-sum/column-sum.ts'
import { int, kernel, type OpDefinition, rowsWord, type WordView } from '../definition.ts'

const tiles = (w: WordView) => [Math.ceil(w.N! / 64), Math.ceil(w.M! / 64), 1] as const
export const gemmMode = { nt: 0, nn: 1, tn: 2 } as const

const options = { chunk: { by: 'gemmChunks' }, software: true }

export const gemm = kernel(import.meta.url, 'gemm', 'a b +c', 'M N K mode acc', tiles, options)
export const gemmBias = kernel(import.meta.url, 'gemm_bias', 'a b bias +c', 'M N K mode', tiles, options)

const linearOp: OpDefinition = {
  name: 'linear',
  kernels: [gemm, gemmBias],
  forward({ inputs: [x, weight, bias], outputs: [y] }, emit) {
    const words = { M: rowsWord(x!.rows), N: int(weight!.rows.count), K: int(x!.width), mode: int(gemmMode.nt) }
    if (bias) emit(gemmBias, { a: x!, b: weight!, bias, c: y! }, words)
    else emit(gemm, { a: x!, b: weight!, c: y! }, { ...words, acc: int(0) })
  },
  backward({ inputs: [x, weight, bias], outputs: [y] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const outWidth = int(weight!.rows.count)
    const dx = context.inputGradient(x!)
    if (dx)
      context.emit(
        gemm,
        { a: dy, b: weight!, c: dx.tensor },
        { M: rowsWord(x!.rows), N: int(x!.width), K: outWidth, mode: int(gemmMode.nn), acc: int(dx.acc) },
      )
    const dw = context.inputGradient(weight!)
    if (dw)
      context.emit(
        gemm,
        { a: dy, b: x!, c: dw.tensor },
        { M: outWidth, N: int(x!.width), K: rowsWord(x!.rows), mode: int(gemmMode.tn), acc: int(dw.acc) },
      )
    const db = bias ? context.inputGradient(bias) : undefined
    if (db) context.emit(columnSum, { dy, db: db.tensor }, { rows: rowsWord(x!.rows), width: outWidth })
  },
}

/** y[T, N] = x[T, K] · weight[N, K]^T (+ bias[1, N]). */
export function linear(g: Graph, x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (x.width !== weight.width)
    throw new Error(
      `linear: x of width ${x.width} does not fit weight ${weight.name} [${weight.rows.count}, ${weight.width}].`,
    )
  if (weight.rows.symbol !== null) throw new Error(`linear: weight ${weight.name} must have fixed rows.`)
  const y = g.activation(`linear(${weight.name})`, x.rows, weight.rows.count)
  g.append(linearOp, bias ? [x, weight, bias] : [x, weight], [y])
  return y
}
