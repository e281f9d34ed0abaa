/**
 * Random initialisation by a counter generator: the value of element i of parameter p depends only on (seed, p, i).
 *
 * Matrices: normal, std = initializer_range, but at least 0.5 / sqrt(fan in): 0.02 is made for widths of thousands and starves a width of 96. Projections back to the residual stream are scaled down by 1 / sqrt(2 * depth) of their tower.
 * Embeddings: initializer_range. Gains 1, biases 0. The vision tower's position table begins as 2-D sines and cosines (as in MAE, arXiv 2111.06377): at
 * initializer_range it would be a tenth of the patches' own signal, and where something is would be learnt long after what it is.
 */
import type { ModelConfig } from './config.ts'
import { type Parameter, planParameters, VISION } from './parameters.ts'

const POSITIONS = `${VISION}.pos_embed.weight`
/** Amplitude of the sines in the position table, about the size of an embedded patch. */
const positionAmplitude = 0.5
/** Longest period over shortest, as positions in a table of 8 to 48 a side need it. */
const positionPeriods = 100

/** 32-bit finaliser of MurmurHash3: a bijection with full avalanche. */
function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

function hash(seed: number, stream: number, counter: number): number {
  return mix(mix(mix(seed ^ 0x9e3779b9) + stream) + Math.imul(counter, 0x9e3779b1))
}

/** Standard normal by Box-Muller from two counters. */
export function counterNormal(seed: number, stream: number, index: number): number {
  const u = (hash(seed, stream, index * 2) + 0.5) / 2 ** 32
  const v = (hash(seed, stream, index * 2 + 1) + 0.5) / 2 ** 32
  return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)
}

/** Root mean square of a parameter's initial values. */
export function initialStd(config: ModelConfig, parameter: Parameter): number {
  const vision = parameter.name.startsWith(VISION)
  const range = vision ? config.vision.initializerRange : config.text.initializerRange
  if (parameter.name === POSITIONS) return positionAmplitude / Math.SQRT2
  if (parameter.kind === 'embedding') return range
  const std = Math.max(range, 0.5 / Math.sqrt(parameter.width))
  const depth = vision ? config.vision.depth : config.text.layerCount
  return parameter.kind === 'residual' ? std / Math.sqrt(2 * depth) : std
}

/** [side * side, D]: the first half of the channels encodes the row, the second the column; sines, then cosines. */
function writePositionTable(config: ModelConfig, table: Float32Array): void {
  const { positionSide: side, width } = config.vision
  const quarter = Math.floor(width / 4)
  for (let i = 0; i < side * side; i++)
    for (const [half, place] of [Math.floor(i / side), i % side].entries())
      for (let f = 0; f < quarter; f++) {
        const angle = place * positionPeriods ** (-f / quarter)
        table[i * width + 2 * half * quarter + f] = positionAmplitude * Math.sin(angle)
        table[i * width + (2 * half + 1) * quarter + f] = positionAmplitude * Math.cos(angle)
      }
}

/** The flat parameter region [elementCount] of planParameters(config). */
export function createInitialParameters(config: ModelConfig, seed: number): Float32Array {
  const list = planParameters(config)
  const flat = new Float32Array(list.elementCount)
  list.parameters.forEach((parameter, stream) => {
    const count = parameter.rows * parameter.width
    if (parameter.kind === 'gain') flat.fill(1, parameter.offset, parameter.offset + count)
    else if (parameter.name === POSITIONS)
      writePositionTable(config, flat.subarray(parameter.offset, parameter.offset + count))
    else if (parameter.kind !== 'bias') {
      const std = initialStd(config, parameter)
      for (let i = 0; i < count; i++) flat[parameter.offset + i] = std * counterNormal(seed, stream, i)
    }
  })
  return flat
}
