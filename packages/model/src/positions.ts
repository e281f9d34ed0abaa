/**
 * Position ids and rotary tables, made on the host: M-RoPE of the text, 2-D rope and interpolated table rows of the vision tower.
 *
 * Legend: position triple (T, H, W); tables are [rows, channels / 2]. Angles: f32 product, then cos and sin in f64 of that product.
 */
import type { TextConfig, VisionConfig } from './config.ts'
import { type Grid, patchOfRow } from './processor.ts'

export interface ImageRun extends Grid {
  readonly tokenStart: number
  readonly tokenCount: number
}

/** Finds the run of image pads of each grid, in order; counts must match exactly. */
export function findImageRuns(tokens: ArrayLike<number>, imageTokenId: number, grids: readonly Grid[]): ImageRun[] {
  const runs: ImageRun[] = []
  for (let i = 0; i < tokens.length; ) {
    if (tokens[i] !== imageTokenId) {
      i++
      continue
    }
    const grid = grids[runs.length]
    let end = i
    while (end < tokens.length && tokens[end] === imageTokenId) end++
    const expected = grid ? (grid.gh * grid.gw) / 4 : 0
    if (!grid || end - i !== expected)
      throw new Error(
        `image tokens: image ${runs.length} at token ${i} must have ${grid ? `${expected} pads for its ${grid.gh}x${grid.gw} grid` : `an image, but only ${grids.length} were given`}, got a run of ${end - i}. Expand each placeholder to imageTokenCount(image).`,
      )
    runs.push({ gh: grid.gh, gw: grid.gw, tokenStart: i, tokenCount: expected })
    i = end
  }
  if (runs.length !== grids.length)
    throw new Error(
      `image tokens: ${grids.length} images were given, got ${runs.length} runs of pads in the tokens. Pass one image a run, in order.`,
    )
  return runs
}

/** [tokens, 3] position triples; also the next free position. */
export function planPositions(tokenCount: number, runs: readonly ImageRun[]): { positions: Int32Array; next: number } {
  const positions = new Int32Array(tokenCount * 3)
  let next = 0
  let run = 0
  for (let i = 0; i < tokenCount; ) {
    const image = runs[run]
    if (image?.tokenStart !== i) {
      positions.fill(next++, i * 3, i * 3 + 3)
      i++
      continue
    }
    const across = image.gw / 2
    for (let t = 0; t < image.tokenCount; t++, i++) {
      positions[i * 3] = next
      positions[i * 3 + 1] = next + Math.floor(t / across)
      positions[i * 3 + 2] = next + (t % across)
    }
    next += Math.max(image.gh / 2, across)
    run++
  }
  return { positions, next }
}

/** Axis (0 T, 1 H, 2 W) of frequency j under interleaved M-RoPE. */
export function mropeAxis(j: number, section: readonly [number, number, number]): 0 | 1 | 2 {
  const axis = j % 3
  if (axis === 1 && j < 3 * section[1]) return 1
  if (axis === 2 && j < 3 * section[2]) return 2
  return 0
}

/**
 * theta^(-j / count), rounded to f32 after each step as the reference does: one unit in the last place of a frequency is 3e-3 radians at position
 * 30,000.
 */
export function rotaryFrequencies(theta: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, j) => 1 / Math.fround(theta ** Math.fround(j / count)))
}

export interface TextRope {
  /** Writes row `row` of the tables for a triple at positions[index * 3]. */
  write(cos: Float32Array, sin: Float32Array, row: number, positions: Int32Array, index: number): void
}

export function createTextRope(config: TextConfig): TextRope {
  const half = config.headChannels / 2
  const frequency = rotaryFrequencies(config.ropeTheta, half)
  const axis = Array.from({ length: half }, (_, j) => mropeAxis(j, config.mropeSection))
  return {
    write(cos, sin, row, positions, index) {
      for (let j = 0; j < half; j++) {
        const angle = Math.fround(positions[index * 3 + axis[j]!]! * frequency[j]!)
        cos[row * half + j] = Math.cos(angle)
        sin[row * half + j] = Math.sin(angle)
      }
    },
  }
}

export interface VisionTables {
  /** [patches, headChannels / 2] */
  readonly cos: Float32Array
  readonly sin: Float32Array
  /** Four rows of the position table a patch, and their weights. */
  readonly corners: Int32Array
  readonly weights: Float32Array
}

/** Tables of one image, rows in block order. */
export function createVisionTables(grid: Grid, config: VisionConfig): VisionTables {
  const rows = grid.gh * grid.gw
  const half = config.width / config.heads / 2
  const perAxis = half / 2
  const frequency = rotaryFrequencies(10000, perAxis)
  const side = config.positionSide
  const cos = new Float32Array(rows * half)
  const sin = new Float32Array(rows * half)
  const corners = new Int32Array(rows * 4)
  const weights = new Float32Array(rows * 4)
  for (let n = 0; n < rows; n++) {
    const { r, c } = patchOfRow(n, grid)
    for (let k = 0; k < half; k++) {
      const angle = Math.fround((k < perAxis ? r : c) * frequency[k % perAxis]!)
      cos[n * half + k] = Math.cos(angle)
      sin[n * half + k] = Math.sin(angle)
    }
    const u = ((side - 1) * r) / (grid.gh - 1)
    const v = ((side - 1) * c) / (grid.gw - 1)
    const r0 = Math.floor(u)
    const c0 = Math.floor(v)
    const r1 = Math.min(r0 + 1, side - 1)
    const c1 = Math.min(c0 + 1, side - 1)
    corners.set([side * r0 + c0, side * r0 + c1, side * r1 + c0, side * r1 + c1], n * 4)
    const fr = u - r0
    const fc = v - c0
    weights.set([(1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc], n * 4)
  }
  return { cos, sin, corners, weights }
}
