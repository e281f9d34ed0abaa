/**
 * The text model as ops, written once for training, prefill and decoding: only where keys and values live differs (activations of the same
 * rows, or a KV pool that rows are scattered into). Not here: the head (head rows are selected by the caller).
 *
 * Legend: T token rows, d width, H heads, K kv heads, C head channels.
 */
import {
  add,
  attention,
  type Graph,
  gather,
  linear,
  type Rows,
  rmsNorm,
  rope,
  scatterRows,
  swiglu,
  type Tensor,
  timesRows,
} from '@axpo/kernels'
import type { ModelConfig } from './config.ts'
import { TEXT } from './parameters.ts'
import type { VisionOutputs } from './vision.ts'
import type { Weights } from './weights.ts'

/** A CSR list with the transposed list its gradient needs. */
export interface Sparse {
  readonly csr: Tensor
  readonly csrTransposed?: Tensor
}

export interface KvPool {
  /** Pool row of each token row. */
  readonly destination: Tensor
  /** Per layer [pool rows, K * C]. */
  readonly keys: readonly Tensor[]
  readonly values: readonly Tensor[]
}

export interface TextInputs {
  readonly rows: Rows
  /** Embedding row of each token row; empty on image rows. */
  readonly embedding: Sparse
  /** Vision row of each image row; empty elsewhere. */
  readonly image: Sparse
  /** [T, C / 2] */
  readonly cos: Tensor
  readonly sin: Tensor
  readonly spans: Tensor
  readonly queries?: Tensor
  readonly pool?: KvPool
}

const transposed = (sparse: Sparse) => (sparse.csrTransposed ? { csrTransposed: sparse.csrTransposed } : {})

function buildAttention(
  g: Graph,
  config: ModelConfig,
  weights: Weights,
  inputs: TextInputs,
  x: Tensor,
  i: number,
): Tensor {
  const { heads, kvHeads, headChannels: C, epsilon } = config.text
  const name = `${TEXT}.layers.${i}`
  const a = rmsNorm(g, x, weights.get(`${name}.input_layernorm.weight`), epsilon)
  // calls that do not need each other stand side by side: threads then meet once for all of them
  const project = (part: 'q' | 'k' | 'v') => linear(g, a, weights.get(`${name}.self_attn.${part}_proj.weight`))
  const projected = { q: project('q'), k: project('k') }
  let v = project('v')
  /** Over the channels of each head. */
  const normed = (part: 'q' | 'k', count: number) =>
    rmsNorm(
      g,
      g.reshape(projected[part], timesRows(inputs.rows, count), C),
      weights.get(`${name}.self_attn.${part}_norm.weight`),
      epsilon,
    )
  const rotated = (x: Tensor, count: number) =>
    rope(g, g.reshape(x, inputs.rows, count * C), inputs.cos, inputs.sin, count)
  const perHead = { q: normed('q', heads), k: normed('k', kvHeads) }
  const q = rotated(perHead.q, heads)
  let k = rotated(perHead.k, kvHeads)
  if (inputs.pool) {
    scatterRows(g, k, inputs.pool.keys[i]!, inputs.pool.destination)
    scatterRows(g, v, inputs.pool.values[i]!, inputs.pool.destination)
    k = inputs.pool.keys[i]!
    v = inputs.pool.values[i]!
  }
  const o = attention(g, {
    q,
    k,
    v,
    spans: inputs.spans,
    ...(inputs.queries ? { queries: inputs.queries } : {}),
    heads,
    kvHeads,
    channels: C,
    scale: 1 / Math.sqrt(C),
  })
  return add(g, x, linear(g, o, weights.get(`${name}.self_attn.o_proj.weight`)))
}

function buildMlp(g: Graph, config: ModelConfig, weights: Weights, x: Tensor, i: number): Tensor {
  const name = `${TEXT}.layers.${i}`
  const b = rmsNorm(g, x, weights.get(`${name}.post_attention_layernorm.weight`), config.text.epsilon)
  const gate = linear(g, b, weights.get(`${name}.mlp.gate_proj.weight`))
  const up = linear(g, b, weights.get(`${name}.mlp.up_proj.weight`))
  return add(g, x, linear(g, swiglu(g, gate, up), weights.get(`${name}.mlp.down_proj.weight`)))
}

/** Hidden states before the final norm, [T, d]. */
export function buildText(
  g: Graph,
  config: ModelConfig,
  weights: Weights,
  inputs: TextInputs,
  vision: VisionOutputs,
): Tensor {
  const { rows, embedding, image } = inputs
  const tokens = gather(g, {
    table: weights.get(`${TEXT}.embed_tokens.weight`),
    csr: embedding.csr,
    ...transposed(embedding),
    rows,
  })
  let x = gather(g, { table: vision.features, csr: image.csr, ...transposed(image), rows, addTo: tokens })
  for (let i = 0; i < config.text.layerCount; i++) {
    x = buildAttention(g, config, weights, inputs, x, i)
    x = buildMlp(g, config, weights, x, i)
    const tap = vision.deepstack[i]
    if (tap) x = gather(g, { table: tap, csr: image.csr, ...transposed(image), rows, addTo: x })
  }
  return x
}

/** Final norm of the selected rows, [S, d]: the head's input. */
export function buildSelection(
  g: Graph,
  config: ModelConfig,
  weights: Weights,
  x: Tensor,
  selection: Sparse,
  rows: Rows,
): Tensor {
  const selected = gather(g, { table: x, csr: selection.csr, ...transposed(selection), rows })
  return rmsNorm(g, selected, weights.get(`${TEXT}.norm.weight`), config.text.epsilon)
}

export function headWeight(config: ModelConfig, weights: Weights): Tensor {
  return weights.get(config.tied ? `${TEXT}.embed_tokens.weight` : 'lm_head.weight')
}
