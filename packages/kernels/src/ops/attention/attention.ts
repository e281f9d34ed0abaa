/**
 * Attention over keys named by spans of kv rows (packed trees, paged pools); no mask matrix. Keys are visited one by one in span order,
 * so where they lie in memory changes nothing. stats[T, 2H]: logsumexp of each head, then sum(do*o), filled by the backward.
 */
import type { Graph, Op, Tensor } from '../../graph.ts'
import {
  type BackwardContext,
  flatWorkgroups,
  float,
  int,
  kernel,
  type OpDefinition,
  rowsWord,
  type WordView,
} from '../definition.ts'

/** Most: what a WGSL thread can keep in its registers. */
const limits = { most: { C: 128 }, chunk: { by: 'attentionChunks' } }
/** What the scratch of a CPU thread can hold. */
const MOST_CHANNELS = 1024

const perHead = (w: WordView) => flatWorkgroups(w.rows! * w.H!, 64)
export const attentionKernel = kernel(
  import.meta.url,
  'attention',
  'q k v spans +o +stats',
  'rows H K C scale:f pairsOffset',
  perHead,
  limits,
)
export const attentionDelta = kernel(import.meta.url, 'attention_delta', 'o do +stats', 'rows H C', perHead, {
  chunk: { items: 4 },
})
export const attentionDq = kernel(
  import.meta.url,
  'attention_dq',
  'q k v do stats spans +dq',
  'rows H K C scale:f pairsOffset',
  perHead,
  limits,
)
export const attentionDkv = kernel(
  import.meta.url,
  'attention_dkv',
  'q k v do stats queries +dk +dv',
  'kvRows H K C scale:f',
  (w) => flatWorkgroups(w.kvRows! * w.K!, 64),
  limits,
)

function shapeWords({ attributes: { heads, kvHeads, channels, scale } }: Op) {
  return { H: int(Number(heads)), K: int(Number(kvHeads)), C: int(Number(channels)), scale: float(Number(scale)) }
}

function attentionBackward(op: Op, context: BackwardContext): void {
  const [q, k, v, spans, queries] = op.inputs as Tensor[]
  const [o, stats] = op.outputs as Tensor[]
  const dO = context.outputGradient(o!)
  if (!dO) return
  const words = shapeWords(op)
  const rows = rowsWord(stats!.rows)
  const pairsOffset = int(Number(op.attributes.pairsOffset))
  context.emit(attentionDelta, { o: o!, do: dO, stats: stats! }, { rows, H: words.H, C: words.C })
  const dq = context.inputGradientOnce(q!)
  if (dq)
    context.emit(
      attentionDq,
      { q: q!, k: k!, v: v!, do: dO, stats: stats!, spans: spans!, dq },
      { rows, ...words, pairsOffset },
    )
  const dk = context.inputGradientOnce(k!)
  const dv = context.inputGradientOnce(v!)
  if (!dk || !dv) return
  if (!queries)
    throw new Error('attention: a gradient for k and v needs queries [kvRows, 2]. Pass queries to attention().')
  context.emit(
    attentionDkv,
    { q: q!, k: k!, v: v!, do: dO, stats: stats!, queries, dk, dv },
    { kvRows: rowsWord(queries.rows), ...words },
  )
}

const attentionOp: OpDefinition = {
  name: 'attention',
  kernels: [attentionKernel, attentionDelta, attentionDq, attentionDkv],
  forward(op, emit) {
    const [q, k, v, spans] = op.inputs as Tensor[]
    const [o, stats] = op.outputs as Tensor[]
    emit(
      attentionKernel,
      { q: q!, k: k!, v: v!, spans: spans!, o: o!, stats: stats! },
      { rows: rowsWord(stats!.rows), ...shapeWords(op), pairsOffset: int(Number(op.attributes.pairsOffset)) },
    )
  },
  backward: attentionBackward,
}

export interface AttentionOptions {
  /** [T, heads*channels], or a view with the same elements. */
  readonly q: Tensor
  /** [kvRows, kvHeads*channels]: this pass' own keys, or a persistent pool. */
  readonly k: Tensor
  readonly v: Tensor
  /** i32: ptr[capacity of T + 1], then pairs (first kv row, count); the visible keys of a row are its pairs in order. */
  readonly spans: Tensor
  /** i32 [kvRows, 2]: rows of q, [start, end), that see the kv row. Needed for gradients of k and v. */
  readonly queries?: Tensor
  readonly heads: number
  readonly kvHeads: number
  readonly channels: number
  readonly scale: number
}

/** o[T, heads*channels] = softmax(q·k^T * scale)·v over the keys of `spans`. Head h reads kv head floor(h * kvHeads / heads). */
export function attention(g: Graph, options: AttentionOptions): Tensor {
  const { q, k, v, spans, queries, heads, kvHeads, channels, scale } = options
  const width = heads * channels
  if (heads % kvHeads !== 0)
    throw new Error(`attention: heads must be a multiple of kvHeads, got ${heads} and ${kvHeads}.`)
  if (!Number.isInteger(channels) || channels < 1 || channels > MOST_CHANNELS)
    throw new Error(
      `attention: channels must be an integer of at most ${MOST_CHANNELS}, got ${channels}. Use more heads.`,
    )
  if ((q.rows.count * q.width) % width !== 0)
    throw new Error(`attention: q ${q.name} of width ${q.width} does not hold ${heads} heads of ${channels} channels.`)
  const rows = { symbol: q.rows.symbol, count: (q.rows.count * q.width) / width }
  const o = g.activation('attention', rows, width)
  const stats = g.activation('attention.stats', rows, 2 * heads)
  const inputs = queries ? [q, k, v, spans, queries] : [q, k, v, spans]
  g.append(attentionOp, inputs, [o, stats], { heads, kvHeads, channels, scale, pairsOffset: g.capacityRows(rows) + 1 })
  return o
}
