/** Gradient norm and AdamW: g scaled by min(1, maxNorm / (norm + 1e-6)), p -= lr * (mhat / (sqrt(vhat) + eps) + weightDecay * p). */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, float, int, kernel, live, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

export const squareSum = kernel(import.meta.url, 'square_sum', 'x +partial', 'n', (w: WordView) =>
  flatWorkgroups(Math.ceil(w.n! / 4096), 1),
)
export const normFinish = kernel(import.meta.url, 'norm_finish', 'partial +norm', 'n', () => [1, 1, 1], {
  chunk: { by: 'normChunks' },
})
export const adamwKernel = kernel(
  import.meta.url,
  'adamw',
  '+p g +m +v norm',
  'n lr:f beta1:f beta2:f eps:f weightDecay:f correction1:f correction2:f maxNorm:f',
  (w) => flatWorkgroups(w.n!, 64),
)

const normOp: OpDefinition = {
  name: 'norm',
  kernels: [squareSum, normFinish],
  forward({ inputs: [x], outputs: [partial, norm] }, emit) {
    emit(squareSum, { x: x!, partial: partial! }, { n: sizeWord(x!) })
    emit(normFinish, { partial: partial!, norm: norm! }, { n: int(partial!.rows.count) })
  },
}

/** norm[1, 1] = sqrt of the sum of squares of a persistent tensor of fixed size; kept for the host to read. */
export function norm(g: Graph, x: Tensor): Tensor {
  if (x.rows.symbol !== null) throw new Error(`norm: ${x.name} must have fixed rows.`)
  const partial = g.activation('norm.partial', Math.ceil((x.rows.count * x.width) / 4096), 1)
  const result = g.host('norm', 1, 1)
  g.append(normOp, [x], [partial, result])
  return result
}

const adamwOp: OpDefinition = {
  name: 'adamw',
  kernels: [adamwKernel],
  forward({ inputs: [g, norm], outputs: [p, m, v], attributes: { beta1, beta2, eps, weightDecay, maxNorm } }, emit) {
    const words = {
      n: sizeWord(p!),
      lr: live('lr'),
      beta1: float(Number(beta1)),
      beta2: float(Number(beta2)),
      eps: float(Number(eps)),
    }
    const rest = {
      weightDecay: float(Number(weightDecay)),
      correction1: live('correction1'),
      correction2: live('correction2'),
      maxNorm: float(Number(maxNorm)),
    }
    emit(adamwKernel, { p: p!, g: g!, m: m!, v: v!, norm: norm! }, { ...words, ...rest })
  },
}

/** Same-sized persistent tensors; one group for each weight decay. */
export interface ParameterGroup {
  readonly params: Tensor
  readonly grads: Tensor
  readonly m: Tensor
  readonly v: Tensor
  readonly weightDecay: number
}

export interface OptimiserOptions {
  /** All gradients, for the global norm. */
  readonly grads: Tensor
  readonly groups: readonly ParameterGroup[]
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  /** Gradients are scaled so that their norm is at most this; 0: off. */
  readonly maxNorm: number
}

/**
 * AdamW with clipping on the device. Live words of each run: lr, correction1 = 1 / (1 - beta1^t), correction2 = 1 / (1 - beta2^t),
 * by which the moments are multiplied. Returns norm[1, 1], readable by the host. Does not clear the gradients.
 */
export function optimiser(g: Graph, options: OptimiserOptions): Tensor {
  const { grads, groups, beta1, beta2, eps, maxNorm } = options
  const total = norm(g, grads)
  for (const group of groups)
    g.append(adamwOp, [group.grads, total], [group.params, group.m, group.v], {
      beta1,
      beta2,
      eps,
      weightDecay: group.weightDecay,
      maxNorm,
    })
  return total
}
