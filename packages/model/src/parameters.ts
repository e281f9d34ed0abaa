/**
 * The list of the model's parameters: Hugging Face names and shapes, and each one's offset in one flat region, so that one
 * AdamW call covers all. Not here: values (init.ts, safetensors.ts) or the graph that uses them (text.ts, vision.ts).
 *
 * Offsets are in elements, aligned to 64 (256 bytes, WebGPU's binding alignment); the padding stays zero for ever.
 */
import { type ModelConfig, patchWidth } from './config.ts'

export type ParameterKind = 'matrix' | 'residual' | 'embedding' | 'gain' | 'bias'

export interface Parameter {
  readonly name: string
  /** Shape as stored in the checkpoint. */
  readonly shape: readonly number[]
  /** The same elements as [rows, width] for the kernels. */
  readonly rows: number
  readonly width: number
  readonly offset: number
  readonly kind: ParameterKind
}

export interface ParameterList {
  readonly parameters: readonly Parameter[]
  readonly byName: ReadonlyMap<string, Parameter>
  /** Elements of the flat region, padding included. */
  readonly elementCount: number
  /** Matrices and embeddings lie in [0, decayedCount), gains and biases (never decayed) behind them. */
  readonly decayedCount: number
  /** Parameters without padding. */
  readonly parameterCount: number
}

export const TEXT = 'model.language_model'
export const VISION = 'model.visual'

type Add = (name: string, shape: readonly number[], kind: ParameterKind) => unknown

function addVision(config: ModelConfig, add: Add): void {
  const {
    width: D,
    mlpWidth: F,
    depth,
    channels,
    temporalPatchSize,
    patchSize,
    positionSide,
    deepstackBlocks,
  } = config.vision
  const d = config.text.width
  const linear = (name: string, out: number, inWidth: number, kind: ParameterKind = 'matrix') => {
    add(`${name}.weight`, [out, inWidth], kind)
    add(`${name}.bias`, [out], 'bias')
  }
  const norm = (name: string, width: number) => {
    add(`${name}.weight`, [width], 'gain')
    add(`${name}.bias`, [width], 'bias')
  }
  add(`${VISION}.patch_embed.proj.weight`, [D, channels, temporalPatchSize, patchSize, patchSize], 'matrix')
  add(`${VISION}.patch_embed.proj.bias`, [D], 'bias')
  add(`${VISION}.pos_embed.weight`, [positionSide * positionSide, D], 'embedding')
  for (let j = 0; j < depth; j++) {
    const block = `${VISION}.blocks.${j}`
    norm(`${block}.norm1`, D)
    norm(`${block}.norm2`, D)
    linear(`${block}.attn.qkv`, 3 * D, D)
    linear(`${block}.attn.proj`, D, D, 'residual')
    linear(`${block}.mlp.linear_fc1`, F, D)
    linear(`${block}.mlp.linear_fc2`, D, F, 'residual')
  }
  const merger = (name: string, normWidth: number) => {
    norm(`${name}.norm`, normWidth)
    linear(`${name}.linear_fc1`, 4 * D, 4 * D)
    linear(`${name}.linear_fc2`, d, 4 * D)
  }
  merger(`${VISION}.merger`, D)
  for (let k = 0; k < deepstackBlocks.length; k++) merger(`${VISION}.deepstack_merger_list.${k}`, 4 * D)
}

function addText(config: ModelConfig, add: Add): void {
  const { vocabSize, width: d, mlpWidth: F, layerCount, heads, kvHeads, headChannels: h } = config.text
  add(`${TEXT}.embed_tokens.weight`, [vocabSize, d], 'embedding')
  for (let i = 0; i < layerCount; i++) {
    const layer = `${TEXT}.layers.${i}`
    add(`${layer}.input_layernorm.weight`, [d], 'gain')
    add(`${layer}.self_attn.q_proj.weight`, [heads * h, d], 'matrix')
    add(`${layer}.self_attn.k_proj.weight`, [kvHeads * h, d], 'matrix')
    add(`${layer}.self_attn.v_proj.weight`, [kvHeads * h, d], 'matrix')
    add(`${layer}.self_attn.o_proj.weight`, [d, heads * h], 'residual')
    add(`${layer}.self_attn.q_norm.weight`, [h], 'gain')
    add(`${layer}.self_attn.k_norm.weight`, [h], 'gain')
    add(`${layer}.post_attention_layernorm.weight`, [d], 'gain')
    add(`${layer}.mlp.gate_proj.weight`, [F, d], 'matrix')
    add(`${layer}.mlp.up_proj.weight`, [F, d], 'matrix')
    add(`${layer}.mlp.down_proj.weight`, [d, F], 'residual')
  }
  add(`${TEXT}.norm.weight`, [d], 'gain')
  if (!config.tied) add('lm_head.weight', [vocabSize, d], 'matrix')
}

export function planParameters(config: ModelConfig): ParameterList {
  const named: { name: string; shape: readonly number[]; kind: ParameterKind }[] = []
  const add: Add = (name, shape, kind) => named.push({ name, shape, kind })
  addVision(config, add)
  addText(config, add)
  const isVector = (kind: ParameterKind) => kind === 'gain' || kind === 'bias'
  const ordered = [...named.filter((p) => !isVector(p.kind)), ...named.filter((p) => isVector(p.kind))]
  let offset = 0
  let parameterCount = 0
  let decayedCount = 0
  const parameters = ordered.map(({ name, shape, kind }): Parameter => {
    const elements = shape.reduce((product, size) => product * size, 1)
    // vectors are one row; matrices (and the patch kernel) have one row an output
    const rows = shape.length === 1 ? 1 : shape[0]!
    const parameter = { name, shape, rows, width: elements / rows, offset, kind }
    parameterCount += elements
    offset += Math.ceil(elements / 64) * 64
    if (!isVector(kind)) decayedCount = offset
    return parameter
  })
  if (patchWidth(config.vision) !== parameters[0]!.width)
    throw new Error('parameters: the patch kernel does not match the patch width. This is a bug in planParameters.')
  return {
    parameters,
    byName: new Map(parameters.map((p) => [p.name, p])),
    elementCount: offset,
    decayedCount,
    parameterCount,
  }
}
