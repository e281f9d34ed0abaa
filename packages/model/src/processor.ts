/**
 * Raw RGB image -> patch rows, as Qwen2VLImageProcessor does it: smart resize, PIL's fixed-point antialiased resize, normalise, rows in
 * 2x2-block order. Not here: the vision tower.
 *
 * Legend: gh, gw patches of the grid; patch row columns are (channel, temporal, y, x).
 */
import { join } from '#files'
import { loadJson } from './config.ts'

/** 8-bit RGB, row-major, 3 bytes a pixel. */
export interface RawImage {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

export interface ProcessorConfig {
  readonly minPixels: number
  readonly maxPixels: number
  readonly patchSize: number
  readonly temporalPatchSize: number
  readonly mergeSize: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** PIL's numbers: 3 bicubic, 4 box. */
  readonly resample: 3 | 4
}

export interface Grid {
  /** Patches down and across; tokens = gh * gw / 4. */
  readonly gh: number
  readonly gw: number
}

export function checkProcessorConfig(json: Readonly<Record<string, unknown>>): ProcessorConfig {
  const size = (json.size ?? {}) as Record<string, unknown>
  const positive = (field: string, value: unknown): number => {
    if (typeof value !== 'number' || !(value > 0))
      throw new Error(
        `preprocessor_config: ${field} must be a positive number, got ${JSON.stringify(value)}. Use the file of a Qwen3-VL model.`,
      )
    return value
  }
  const triple = (field: string): number[] => {
    const value = json[field]
    if (!Array.isArray(value) || value.length !== 3)
      throw new Error(
        `preprocessor_config: ${field} must be three numbers, got ${JSON.stringify(value)}. Use the file of a Qwen3-VL model.`,
      )
    return value as number[]
  }
  const resample = json.resample ?? 3
  if (resample !== 3 && resample !== 4)
    throw new Error(
      `preprocessor_config: resample must be 3 (bicubic) or 4 (box), got ${JSON.stringify(resample)}. Use one of these.`,
    )
  return {
    minPixels: positive('size.shortest_edge', size.shortest_edge),
    maxPixels: positive('size.longest_edge', size.longest_edge),
    patchSize: positive('patch_size', json.patch_size),
    temporalPatchSize: positive('temporal_patch_size', json.temporal_patch_size),
    mergeSize: positive('merge_size', json.merge_size),
    mean: triple('image_mean'),
    std: triple('image_std'),
    resample,
  }
}

export async function loadProcessorConfig(directory: string): Promise<ProcessorConfig> {
  return checkProcessorConfig(await loadJson(join(directory, 'preprocessor_config.json')))
}

/** Python's round: half to even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** Target height and width, multiples of `factor`, area within [minPixels, maxPixels] where the aspect ratio allows. */
export function smartResize(
  height: number,
  width: number,
  factor: number,
  minPixels: number,
  maxPixels: number,
): { height: number; width: number } {
  if (Math.max(height, width) / Math.min(height, width) > 200)
    throw new Error(`smartResize: aspect ratio must be at most 200, got ${height}x${width}. Crop the image.`)
  const near = (size: number) => factor * roundHalfEven(size / factor)
  const h = near(height)
  const w = near(width)
  if (h * w > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels)
    const down = (size: number) => Math.max(factor, factor * Math.floor(size / beta / factor))
    return { height: down(height), width: down(width) }
  }
  if (h * w < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width))
    const up = (size: number) => factor * Math.ceil((size * beta) / factor)
    return { height: up(height), width: up(width) }
  }
  return { height: h, width: w }
}

function bicubic(x: number): number {
  const a = -0.5
  const t = Math.abs(x)
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a
  return 0
}

const box = (x: number): number => (x > -0.5 && x <= 0.5 ? 1 : 0)

const PRECISION_BITS = 22

interface Taps {
  readonly first: Int32Array
  readonly count: Int32Array
  /** Fixed-point weights, `stride` an output. */
  readonly weights: Int32Array
  readonly stride: number
}

function planTaps(inSize: number, outSize: number, resample: 3 | 4): Taps {
  const kernel = resample === 3 ? bicubic : box
  const scale = inSize / outSize
  const filterScale = Math.max(scale, 1)
  // multiplied, as PIL does: a division rounds otherwise and can move a fixed-point weight by one
  const inverseScale = 1 / filterScale
  const support = (resample === 3 ? 2 : 0.5) * filterScale
  const stride = Math.ceil(support) * 2 + 1
  const first = new Int32Array(outSize)
  const count = new Int32Array(outSize)
  const weights = new Int32Array(outSize * stride)
  for (let k = 0; k < outSize; k++) {
    const center = (k + 0.5) * scale
    const start = Math.max(0, Math.trunc(center - support + 0.5))
    const end = Math.min(inSize, Math.trunc(center + support + 0.5))
    const values = Array.from({ length: end - start }, (_, j) => kernel((start + j - center + 0.5) * inverseScale))
    const sum = values.reduce((total, value) => total + value, 0)
    first[k] = start
    count[k] = end - start
    values.forEach((value, j) => {
      const fixed = (value / sum) * 2 ** PRECISION_BITS
      weights[k * stride + j] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5)
    })
  }
  return { first, count, weights, stride }
}

/** One pass along an axis: `lines` lines, elements `step` apart, lines `lineStep` apart, both images 3 interleaved channels. */
function resizeAxis(
  source: Uint8Array,
  width: number,
  height: number,
  outSize: number,
  horizontal: boolean,
  resample: 3 | 4,
): Uint8Array {
  const taps = planTaps(horizontal ? width : height, outSize, resample)
  const outWidth = horizontal ? outSize : width
  const outHeight = horizontal ? height : outSize
  const out = new Uint8Array(outWidth * outHeight * 3)
  const step = horizontal ? 3 : width * 3
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < outWidth; x++) {
      const k = horizontal ? x : y
      const start = horizontal ? (y * width + taps.first[k]!) * 3 : (taps.first[k]! * width + x) * 3
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (PRECISION_BITS - 1)
        for (let j = 0; j < taps.count[k]!; j++)
          sum += taps.weights[k * taps.stride + j]! * source[start + channel + j * step]!
        const value = Math.floor(sum / 2 ** PRECISION_BITS)
        out[(y * outWidth + x) * 3 + channel] = Math.min(255, Math.max(0, value))
      }
    }
  return out
}

/**
 * PIL's Image.resize, bit for bit: horizontal pass, clamp to u8, vertical pass; a pass that changes nothing is skipped. Pillow 13 was seen
 * to take the vertical pass first when it widens and shortens; then it differs by a level or two.
 */
export function resizeImage(image: RawImage, width: number, height: number, resample: 3 | 4): RawImage {
  let data = image.data
  if (width !== image.width) data = resizeAxis(data, image.width, image.height, width, true, resample)
  if (height !== image.height) data = resizeAxis(data, width, image.height, height, false, resample)
  return { width, height, data }
}

export function checkImage(image: RawImage): void {
  if (image.data.length !== image.width * image.height * 3)
    throw new Error(
      `image: ${image.width}x${image.height} RGB must have ${image.width * image.height * 3} bytes, got ${image.data.length}. Convert it to 8-bit RGB.`,
    )
}

export function imageGrid(image: { readonly width: number; readonly height: number }, config: ProcessorConfig): Grid {
  const target = smartResize(
    image.height,
    image.width,
    config.patchSize * config.mergeSize,
    config.minPixels,
    config.maxPixels,
  )
  return { gh: target.height / config.patchSize, gw: target.width / config.patchSize }
}

/** Patch (r, c) of block-order row n. */
export function patchOfRow(n: number, grid: Grid): { r: number; c: number } {
  const block = n >> 2
  const across = grid.gw / 2
  return { r: 2 * Math.floor(block / across) + ((n & 3) >> 1), c: 2 * (block % across) + (n & 1) }
}

export interface ProcessedImage extends Grid {
  /** [gh * gw, channels * temporal * patch * patch] in block order, values in [-1, 1] for mean = std = 0.5. */
  readonly patches: Float32Array
}

export function processImage(image: RawImage, config: ProcessorConfig): ProcessedImage {
  checkImage(image)
  const grid = imageGrid(image, config)
  const { patchSize: p, temporalPatchSize: frames, mean, std } = config
  const resized = resizeImage(image, grid.gw * p, grid.gh * p, config.resample)
  const width = 3 * frames * p * p
  const rows = grid.gh * grid.gw
  const patches = new Float32Array(rows * width)
  // (x / 255 - mean) / std, folded as the fast processor does: (x - 255 mean) / (255 std) in f32
  const shift = mean.map((value) => Math.fround(value * 255))
  const divisor = std.map((value) => Math.fround(value * 255))
  for (let n = 0; n < rows; n++) {
    const { r, c } = patchOfRow(n, grid)
    let column = n * width
    for (let channel = 0; channel < 3; channel++)
      for (let frame = 0; frame < frames; frame++)
        for (let y = 0; y < p; y++)
          for (let x = 0; x < p; x++) {
            const pixel = resized.data[((r * p + y) * resized.width + c * p + x) * 3 + channel]!
            patches[column++] = Math.fround(pixel - shift[channel]!) / divisor[channel]!
          }
  }
  return { ...grid, patches }
}
