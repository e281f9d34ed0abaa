/**
 * Qwen3-VL's config.json: read, checked, and turned into plain numbers. Not here: weights (parameters.ts), image processing (processor.ts).
 *
 * Accepts `rope_theta` + `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5).
 */
import { join, readFile } from '#files'

export interface TextConfig {
  readonly vocabSize: number
  /** Residual width d. */
  readonly width: number
  readonly mlpWidth: number
  readonly layerCount: number
  readonly heads: number
  readonly kvHeads: number
  /** Channels of a head; never derived from width / heads. */
  readonly headChannels: number
  readonly ropeTheta: number
  /** Frequencies of the T, H, W axes; interleaved. */
  readonly mropeSection: readonly [number, number, number]
  readonly epsilon: number
  readonly maxPositions: number
  readonly initializerRange: number
}

export interface VisionConfig {
  readonly depth: number
  readonly width: number
  readonly mlpWidth: number
  readonly heads: number
  readonly channels: number
  readonly patchSize: number
  readonly temporalPatchSize: number
  readonly mergeSize: number
  /** Side of the square table of learned positions. */
  readonly positionSide: number
  /** Blocks whose output feeds a deepstack merger. */
  readonly deepstackBlocks: readonly number[]
  readonly initializerRange: number
}

export interface ModelConfig {
  readonly text: TextConfig
  readonly vision: VisionConfig
  readonly tied: boolean
  readonly imageTokenId: number
  readonly videoTokenId: number
  readonly visionStartTokenId: number
  readonly visionEndTokenId: number
  /** The JSON this came from, written beside saved weights. */
  readonly source: Readonly<Record<string, unknown>>
}

type Json = Readonly<Record<string, unknown>>

function fail(field: string, rule: string, value: unknown): never {
  throw new Error(
    `config: ${field} must be ${rule}, got ${JSON.stringify(value)}. Use the config.json of a Qwen3-VL dense model.`,
  )
}

function objectAt(json: Json, field: string): Json {
  const value = json[field]
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(field, 'an object', value)
  return value as Json
}

function numberAt(json: Json, field: string, fallback?: number): number {
  const value = json[field] ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) fail(field, 'a positive number', value)
  return value
}

function integerAt(json: Json, field: string, fallback?: number): number {
  const value = numberAt(json, field, fallback)
  if (!Number.isInteger(value)) fail(field, 'an integer', value)
  return value
}

function integersAt(json: Json, field: string): number[] {
  const value = json[field]
  if (!Array.isArray(value) || !value.every((x) => Number.isInteger(x) && x >= 0))
    fail(field, 'a list of integers >= 0', value)
  return value as number[]
}

function expectValue(json: Json, field: string, expected: unknown): void {
  const value = json[field]
  if (value !== undefined && value !== expected) fail(field, JSON.stringify(expected), value)
}

function checkText(json: Json): TextConfig {
  expectValue(json, 'hidden_act', 'silu')
  expectValue(json, 'attention_bias', false)
  const rope =
    typeof json.rope_parameters === 'object' && json.rope_parameters !== null ? (json.rope_parameters as Json) : null
  const scaling = rope ?? objectAt(json, 'rope_scaling')
  expectValue(scaling, 'rope_type', 'default')
  if (scaling.mrope_interleaved !== true) fail('mrope_interleaved', 'true', scaling.mrope_interleaved)
  const section = integersAt(scaling, 'mrope_section')
  const headChannels = integerAt(json, 'head_dim')
  if (section.length !== 3 || section[0]! + section[1]! + section[2]! !== headChannels / 2)
    fail('mrope_section', `three integers with sum head_dim / 2 = ${headChannels / 2}`, section)
  const heads = integerAt(json, 'num_attention_heads')
  const kvHeads = integerAt(json, 'num_key_value_heads')
  if (heads % kvHeads !== 0) fail('num_attention_heads', `a multiple of num_key_value_heads ${kvHeads}`, heads)
  return {
    vocabSize: integerAt(json, 'vocab_size'),
    width: integerAt(json, 'hidden_size'),
    mlpWidth: integerAt(json, 'intermediate_size'),
    layerCount: integerAt(json, 'num_hidden_layers'),
    heads,
    kvHeads,
    headChannels,
    ropeTheta: numberAt(rope ?? json, 'rope_theta'),
    mropeSection: [section[0]!, section[1]!, section[2]!],
    epsilon: numberAt(json, 'rms_norm_eps', 1e-6),
    maxPositions: integerAt(json, 'max_position_embeddings'),
    initializerRange: numberAt(json, 'initializer_range', 0.02),
  }
}

function checkVision(json: Json, text: TextConfig): VisionConfig {
  expectValue(json, 'hidden_act', 'gelu_pytorch_tanh')
  const depth = integerAt(json, 'depth')
  const width = integerAt(json, 'hidden_size')
  const heads = integerAt(json, 'num_heads')
  if (width % (heads * 4) !== 0) fail('vision hidden_size', `a multiple of 4 * num_heads = ${heads * 4}`, width)
  const merge = integerAt(json, 'spatial_merge_size')
  if (merge !== 2) fail('spatial_merge_size', '2', merge)
  const positions = integerAt(json, 'num_position_embeddings')
  const side = Math.round(Math.sqrt(positions))
  if (side * side !== positions) fail('num_position_embeddings', 'a square', positions)
  const taps = integersAt(json, 'deepstack_visual_indexes')
  if (taps.some((tap) => tap >= depth) || taps.length > text.layerCount)
    fail('deepstack_visual_indexes', `below depth ${depth} and at most one a text layer`, taps)
  const out = integerAt(json, 'out_hidden_size')
  if (out !== text.width) fail('out_hidden_size', `the text hidden_size ${text.width}`, out)
  return {
    depth,
    width,
    mlpWidth: integerAt(json, 'intermediate_size'),
    heads,
    channels: integerAt(json, 'in_channels', 3),
    patchSize: integerAt(json, 'patch_size'),
    temporalPatchSize: integerAt(json, 'temporal_patch_size'),
    mergeSize: merge,
    positionSide: side,
    deepstackBlocks: taps,
    initializerRange: numberAt(json, 'initializer_range', 0.02),
  }
}

export function checkConfig(json: Readonly<Record<string, unknown>>): ModelConfig {
  expectValue(json, 'model_type', 'qwen3_vl')
  const textJson = objectAt(json, 'text_config')
  const text = checkText(textJson)
  const tied = json.tie_word_embeddings ?? textJson.tie_word_embeddings
  if (typeof tied !== 'boolean') fail('tie_word_embeddings', 'true or false', tied)
  return {
    text,
    vision: checkVision(objectAt(json, 'vision_config'), text),
    tied,
    imageTokenId: integerAt(json, 'image_token_id'),
    videoTokenId: integerAt(json, 'video_token_id'),
    visionStartTokenId: integerAt(json, 'vision_start_token_id'),
    visionEndTokenId: integerAt(json, 'vision_end_token_id'),
    source: json,
  }
}

export async function loadJson(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `load: ${path} cannot be read (${error.code ?? error.message}). Give a folder with the checkpoint's files.`,
    )
  })
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // reported below with the path
  }
  throw new Error(`load: ${path} must hold one JSON object. Copy the file again.`)
}

export async function loadConfig(directory: string): Promise<ModelConfig> {
  return checkConfig(await loadJson(join(directory, 'config.json')))
}

/** Width of a flattened patch row: channels x temporal x patch x patch. */
export function patchWidth(vision: VisionConfig): number {
  return vision.channels * vision.temporalPatchSize * vision.patchSize * vision.patchSize
}

/** Token ids the model must never sample: image and video pads, vision markers. */
export function bannedTokenIds(config: ModelConfig): number[] {
  return [config.imageTokenId, config.videoTokenId, config.visionStartTokenId, config.visionEndTokenId]
}
