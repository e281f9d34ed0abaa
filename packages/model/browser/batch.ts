/**
 * One forward and one backward of the nano model on a batch that never changes: two sequences that share an image, one without. Runs the same under
 * Node and in a web page, on any executor; the test compares the two.
 */
import type { Executor } from '@axpo/kernels'
import { createModel, loadConfig, loadProcessorConfig, nanoDirectory } from '@axpo/model'

export interface Answer {
  readonly executor: string
  /** A sequence, a token; nats, 0 for the first token. */
  readonly logprobs: readonly (readonly number[])[]
  readonly entropies: readonly (readonly number[])[]
  readonly gradientNorm: number
  /** All gradients, laid out as the parameters: f32 in base64, which leaves a page faster than numbers do. */
  readonly gradients: string
  /** Compiling and planning are not in them. */
  readonly forwardMs: number
  readonly backwardMs: number
}

const SIDE = 32
const capacities = { train: { tokens: 96, imageTokens: 32, selections: 96, spans: 1024 } }
/** sha256 of "32,32," and the bytes. */
const SHA256 = 'e99f0221f85bcc7432c18453b1c4412381b8b6705234c1dfa30fa704d7abaa5a'

/** A gradient across, one down, a checker. */
export function picture() {
  const data = new Uint8Array(SIDE * SIDE * 3)
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++) data.set([8 * x, 8 * y, ((x >> 2) + (y >> 2)) % 2 ? 220 : 40], (y * SIDE + x) * 3)
  return { sha256: SHA256, image: { width: SIDE, height: SIDE, data } }
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))
}

function encodeFloats(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

export function decodeFloats(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer)
}

/** `parameters`: the flat region, or the address of a checkpoint folder; absent: initialised from a fixed seed. */
export async function computeBatch(executor: Executor, parameters?: Float32Array | string): Promise<Answer> {
  const config = await loadConfig(nanoDirectory)
  const processor = await loadProcessorConfig(nanoDirectory)
  const model = createModel({ config, processor, executor, capacities })
  if (typeof parameters === 'string') await model.load(parameters)
  else if (parameters) model.setParameters(parameters)
  else model.initialise(3)

  const pads = new Array<number>(16).fill(config.imageTokenId)
  const look = [5, 6, config.visionStartTokenId, ...pads, config.visionEndTokenId, 7]
  const images = [picture()]
  const { learner } = model
  const batch = learner.pack([
    { tokens: Int32Array.from([...look, 8, 40, 41, 42]), images },
    { tokens: Int32Array.from([...look, 9, 43, 44]), images },
    { tokens: Int32Array.of(20, 21, 22, 45, 46, 47, 48), images: [] },
  ])
  const start = performance.now()
  const { logprobs, entropies } = await learner.forward(batch)
  const middle = performance.now()
  const weights = batch.sequences.map(({ tokens }, i) => new Float32Array(tokens.length).fill(i % 2 ? 0.1 : -0.2))
  await learner.backward(batch, weights)
  const gradients = await learner.gradients()
  const end = performance.now()
  model.close()
  return {
    executor: executor.describe(),
    logprobs: logprobs.map((row) => [...row]),
    entropies: entropies.map((row) => [...row]),
    gradientNorm: norm(gradients),
    gradients: encodeFloats(gradients),
    forwardMs: middle - start,
    backwardMs: end - middle,
  }
}
