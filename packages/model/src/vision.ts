/**
 * The vision tower as ops: patch embedding, interpolated positions, blocks with 2-D rope, main and deepstack mergers (spec of Qwen3-VL).
 * Not here: pixels (processor.ts), tables (positions.ts).
 *
 * Legend: rows of patches are {symbol, count 4} = 4 a merged token, in 2x2-block order; D width, d text width.
 */
import {
  add,
  attention,
  type Graph,
  gather,
  gelu,
  layerNorm,
  linear,
  type Rows,
  rope,
  type Tensor,
  timesRows,
} from '@axpo/kernels'
import { type ModelConfig, patchWidth } from './config.ts'
import { VISION } from './parameters.ts'
import type { Weights } from './weights.ts'

const EPSILON = 1e-6

export interface VisionInputs {
  /** Merged image tokens. */
  readonly rows: Rows
  /** [4 * tokens, patch width] */
  readonly patches: Tensor
  /** [4 * tokens, headChannels / 2] */
  readonly cos: Tensor
  readonly sin: Tensor
  /** Four rows of the position table a patch. */
  readonly corners: Tensor
  readonly cornerWeights: Tensor
  readonly cornersTransposed?: Tensor
  readonly cornerWeightsTransposed?: Tensor
  /** Each patch sees its own image. */
  readonly spans: Tensor
  readonly queries?: Tensor
}

export interface VisionOutputs {
  /** [tokens, d] */
  readonly features: Tensor
  /** One [tokens, d] a deepstack tap, in order. */
  readonly deepstack: readonly Tensor[]
}

function buildBlock(
  g: Graph,
  config: ModelConfig,
  weights: Weights,
  inputs: VisionInputs,
  x: Tensor,
  j: number,
): Tensor {
  const { width: D, heads } = config.vision
  const name = `${VISION}.blocks.${j}`
  const a = layerNorm(g, x, weights.get(`${name}.norm1.weight`), weights.get(`${name}.norm1.bias`), EPSILON)
  const part = (k: number) =>
    linear(g, a, weights.rows(`${name}.attn.qkv.weight`, k * D, D), weights.elements(`${name}.attn.qkv.bias`, k * D, D))
  const o = attention(g, {
    q: rope(g, part(0), inputs.cos, inputs.sin, heads),
    k: rope(g, part(1), inputs.cos, inputs.sin, heads),
    v: part(2),
    spans: inputs.spans,
    ...(inputs.queries ? { queries: inputs.queries } : {}),
    heads,
    kvHeads: heads,
    channels: D / heads,
    scale: 1 / Math.sqrt(D / heads),
  })
  const attended = add(
    g,
    x,
    linear(g, o, weights.get(`${name}.attn.proj.weight`), weights.get(`${name}.attn.proj.bias`)),
  )
  const b = layerNorm(g, attended, weights.get(`${name}.norm2.weight`), weights.get(`${name}.norm2.bias`), EPSILON)
  const up = linear(g, b, weights.get(`${name}.mlp.linear_fc1.weight`), weights.get(`${name}.mlp.linear_fc1.bias`))
  const down = linear(
    g,
    gelu(g, up, 'tanh'),
    weights.get(`${name}.mlp.linear_fc2.weight`),
    weights.get(`${name}.mlp.linear_fc2.bias`),
  )
  return add(g, attended, down)
}

/** Norm over D before the 2x2 merge (main) or over 4D after it (deepstack), then fc1, exact GELU, fc2. */
function buildMerger(
  g: Graph,
  config: ModelConfig,
  weights: Weights,
  rows: Rows,
  x: Tensor,
  name: string,
  normFirst: boolean,
): Tensor {
  const norm = (t: Tensor) =>
    layerNorm(g, t, weights.get(`${name}.norm.weight`), weights.get(`${name}.norm.bias`), EPSILON)
  const merge = (t: Tensor) => g.reshape(t, rows, 4 * config.vision.width)
  const z = normFirst ? merge(norm(x)) : norm(merge(x))
  const hidden = linear(g, z, weights.get(`${name}.linear_fc1.weight`), weights.get(`${name}.linear_fc1.bias`))
  return linear(
    g,
    gelu(g, hidden, 'erf'),
    weights.get(`${name}.linear_fc2.weight`),
    weights.get(`${name}.linear_fc2.bias`),
  )
}

export function buildVision(g: Graph, config: ModelConfig, weights: Weights, inputs: VisionInputs): VisionOutputs {
  if (inputs.patches.width !== patchWidth(config.vision))
    throw new Error(
      `vision: patch rows must be ${patchWidth(config.vision)} wide, got ${inputs.patches.width}. Use the preprocessor_config.json of this model.`,
    )
  const embedded = linear(
    g,
    inputs.patches,
    weights.get(`${VISION}.patch_embed.proj.weight`),
    weights.get(`${VISION}.patch_embed.proj.bias`),
  )
  let x = gather(g, {
    table: weights.get(`${VISION}.pos_embed.weight`),
    csr: inputs.corners,
    weights: inputs.cornerWeights,
    ...(inputs.cornersTransposed ? { csrTransposed: inputs.cornersTransposed } : {}),
    ...(inputs.cornerWeightsTransposed ? { weightsTransposed: inputs.cornerWeightsTransposed } : {}),
    rows: timesRows(inputs.rows, 4),
    addTo: embedded,
  })
  const deepstack: Tensor[] = new Array(config.vision.deepstackBlocks.length)
  for (let j = 0; j < config.vision.depth; j++) {
    x = buildBlock(g, config, weights, inputs, x, j)
    const tap = config.vision.deepstackBlocks.indexOf(j)
    if (tap >= 0)
      deepstack[tap] = buildMerger(g, config, weights, inputs.rows, x, `${VISION}.deepstack_merger_list.${tap}`, false)
  }
  return { features: buildMerger(g, config, weights, inputs.rows, x, `${VISION}.merger`, true), deepstack }
}
