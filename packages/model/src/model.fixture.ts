/** What the model's tests share: a tiny awkward model, images, sequences. */
import { createHash } from 'node:crypto'
import { checkConfig, type ModelConfig } from './config.ts'
import { counterNormal } from './init.ts'
import type { ImageRef } from './pack.ts'
import { planParameters } from './parameters.ts'
import type { ProcessorConfig } from './processor.ts'

/** Sizes chosen so that a transposition or a mixed-up width shows. */
export function tinyConfig(tied: boolean): ModelConfig {
  return checkConfig({
    model_type: 'qwen3_vl',
    image_token_id: 30,
    video_token_id: 31,
    vision_start_token_id: 28,
    vision_end_token_id: 29,
    tie_word_embeddings: tied,
    text_config: {
      vocab_size: 37,
      hidden_size: 20,
      intermediate_size: 28,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 8,
      max_position_embeddings: 512,
      rope_parameters: { rope_theta: 100, rope_type: 'default', mrope_section: [2, 1, 1], mrope_interleaved: true },
    },
    vision_config: {
      depth: 3,
      hidden_size: 24,
      intermediate_size: 36,
      num_heads: 2,
      patch_size: 4,
      temporal_patch_size: 2,
      spatial_merge_size: 2,
      num_position_embeddings: 25,
      deepstack_visual_indexes: [0, 1],
      out_hidden_size: 20,
    },
  })
}

export const tinyProcessor: ProcessorConfig = {
  minPixels: 64,
  maxPixels: 4096,
  patchSize: 4,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
  resample: 3,
}

/** Values far from initialisation: gains around 1, everything else normal, so that no swapped tensor hides. */
export function tinyParameters(config: ModelConfig, seed: number): Float32Array {
  const list = planParameters(config)
  const flat = new Float32Array(list.elementCount)
  list.parameters.forEach(({ offset, rows, width, kind }, stream) => {
    for (let i = 0; i < rows * width; i++) {
      const z = counterNormal(seed, stream, i)
      const scale = kind === 'matrix' || kind === 'residual' ? 1 / Math.sqrt(width) : kind === 'embedding' ? 0.7 : 0.2
      flat[offset + i] = (kind === 'gain' ? 1 : 0) + scale * z
    }
  })
  return flat
}

export function randomImage(width: number, height: number, seed: number): ImageRef {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => 128 + 60 * counterNormal(seed, 1, i))
  return {
    sha256: createHash('sha256').update(`${width},${height},`).update(data).digest('hex'),
    image: { width, height, data },
  }
}

export const PAD = 30
/** 4 merged tokens. */
export const square = randomImage(16, 16, 1)
/** 6 merged tokens (grid 4 x 6). */
export const wide = randomImage(24, 16, 2)
const pads = (n: number) => new Array<number>(n).fill(PAD)
/** A prompt with one image; forks of it; a later image; no image. */
export const prompt = [1, 2, 28, ...pads(6), 29, 3]
export const contexts: readonly { readonly tokens: Int32Array; readonly images: readonly ImageRef[] }[] = [
  { tokens: Int32Array.from([...prompt, 4, 5, 6, 7]), images: [wide] },
  { tokens: Int32Array.from([...prompt, 4, 5, 8]), images: [wide] },
  { tokens: Int32Array.from([...prompt, 9, 28, ...pads(4), 29, 10]), images: [wide, square] },
  { tokens: Int32Array.from([11, 12, 13, 14, 4]), images: [] },
]
