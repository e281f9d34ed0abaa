/**
 * What the parity tests share: golden files of scripts/goldens, the weights and images that script hashed into being, and a packed graph of which every
 * tensor can be read. Not here: what is compared with what (parity.test.ts).
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Executor, type Graph, type LoadedPlan, planGraph, type Tensor } from '@axpo/kernels'
import { checkConfig, type ModelConfig } from './config.ts'
import { PARAMS } from './learner.ts'
import { type ImageRef, planMicroBatches, type TrainSequence } from './pack.ts'
import { buildPackedGraph, liveWords, type PackedGraph, writeMicroBatch } from './packed-graph.ts'
import { type ParameterList, planParameters } from './parameters.ts'
import { checkProcessorConfig, type ProcessorConfig } from './processor.ts'
import { loadTensor, loadTensorIndex, type TensorEntry } from './safetensors.ts'

export const goldenDirectory = fileURLToPath(new URL('../golden/', import.meta.url))

export interface DecodeGolden {
  readonly prompt: number
  readonly tokens: number[]
  readonly logprobs: number[]
  readonly entropies: number[]
}

export interface SequenceGolden {
  readonly tokens: number[]
  /** Numbers of the case's images. */
  readonly images: number[]
  /** [3][T] */
  readonly positions: number[][]
  readonly rope_delta: number
  readonly decode?: DecodeGolden
}

export interface GradientGolden {
  readonly temperature: number
  /** Whether the loss has entropies too. */
  readonly entropy: boolean
  readonly scores: Record<string, { logprob: number[]; entropy: number[] }>
  readonly parameters: Record<string, { norm: number; largest: number }>
}

export interface ImageSpec extends ReadonlyArray<string | number> {
  readonly 0: string
  readonly 1: number
  readonly 2: number
  readonly 3: number
}

interface CaseJson {
  readonly config: Record<string, unknown>
  readonly processor: Record<string, unknown>
  readonly seed: number
  readonly weights_sha256: string
  /** Every which row of an activation is stored. */
  readonly stride: number
  readonly images: ImageSpec[]
  readonly grids: number[][]
  readonly pixels_sha256: string[]
  readonly gradient_limit: number
  readonly frequencies: { readonly text: number[]; readonly vision: number[] }
  readonly sequences: Record<string, SequenceGolden>
  readonly gradients: Record<string, GradientGolden>
}

export interface GoldenCase {
  readonly label: string
  readonly json: CaseJson
  readonly config: ModelConfig
  readonly processor: ProcessorConfig
  readonly list: ParameterList
  /** Flat region of planParameters. */
  readonly weights: Float32Array
  readonly index: ReadonlyMap<string, TensorEntry>
  tensor(name: string): Promise<{ data: Float32Array; shape: readonly number[] }>
  sequence(name: string): TrainSequence
}

export async function loadGoldenJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(`${goldenDirectory}${name}`, 'utf8')) as T
}

/** 32-bit finaliser of MurmurHash3. */
function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

function createHashes(seed: number, stream: string): (i: number) => number {
  const base = mix(fnv1a(stream) ^ Math.imul(seed, 0x9e3779b9))
  return (i) => mix(base + Math.imul(i, 0x9e3779b1))
}

const uniform = (hash: number): number => ((hash >>> 8) - 2 ** 23) / 2 ** 23

/** Standard deviation and mean of a parameter's hashed values, as deterministic.py has them. */
function spread(name: string, shape: readonly number[], count: number, tied: boolean): [number, number] {
  if (name.endsWith('.bias')) return [0.2, 0]
  if (shape.length === 1) return [0.2, 1]
  if (name.endsWith('pos_embed.weight')) return [1, 0]
  if (name.endsWith('embed_tokens.weight')) return [tied ? 0.2 : 1, 0]
  return [1.5 / Math.sqrt(count / shape[0]!), 0]
}

function hashedWeights(list: ParameterList, seed: number, tied: boolean): Float32Array {
  const flat = new Float32Array(list.elementCount)
  for (const { name, shape, rows, width, offset } of list.parameters) {
    const count = rows * width
    const [std, mean] = spread(name, shape, count, tied)
    const hash = createHashes(seed, name)
    const scale = std * Math.sqrt(3)
    for (let i = 0; i < count; i++) flat[offset + i] = mean + scale * uniform(hash(i))
  }
  return flat
}

/** Loss weights: uniform in [-1, 1); 0 for the first token and for image pads. */
export function lossWeights(golden: GoldenCase, name: string, kind: 'logprob' | 'entropy'): Float32Array {
  const hash = createHashes(golden.json.seed, `${kind} ${name}`)
  const { tokens } = golden.json.sequences[name]!
  return Float32Array.from(tokens, (token, t) => (t > 0 && token !== golden.config.imageTokenId ? uniform(hash(t)) : 0))
}

/** One channel of one pixel of a synthetic image, before & 255. */
function pixelOf(
  kind: string,
  seed: number,
  width: number,
  height: number,
): (x: number, y: number, c: number) => number {
  const hash = createHashes(seed, 'image')
  if (kind === 'noise') return (x, y, c) => hash((y * width + x) * 3 + c) >>> 24
  if (kind === 'gradient')
    return (x, y, c) =>
      Math.floor((x * 255) / Math.max(1, width - 1)) + Math.floor((y * (c + 1) * 64) / Math.max(1, height - 1)) + seed
  if (kind === 'lines')
    return (x, y, c) => (x % 5 === 0 || y % 7 === 0 || (x + y) % 11 === 0 ? 255 - 40 * c : 10 * c + seed)
  if (kind === 'text') {
    const across = Math.floor((width + 1) / 2)
    return (x, y, c) =>
      hash(Math.floor(y / 3) * across + Math.floor(x / 2)) >>> 30 === 0 && y % 12 < 9 ? 20 + 5 * c : 250
  }
  throw new Error(`parity: images are noise, gradient, lines or text, got ${kind}. Use the goldens' kinds.`)
}

export function syntheticImage([kind, seed, width, height]: ImageSpec): ImageRef {
  const pixel = pixelOf(kind, seed, width, height)
  const data = new Uint8Array(width * height * 3)
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[at++] = pixel(x, y, c) & 255
  return {
    sha256: createHash('sha256').update(`${width},${height},`).update(data).digest('hex'),
    image: { width, height, data },
  }
}

export function sha256(data: Float32Array | Uint8Array): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
}

const loaded = new Map<string, Promise<GoldenCase>>()

export function loadGolden(label: string): Promise<GoldenCase> {
  const known = loaded.get(label) ?? readGolden(label)
  loaded.set(label, known)
  return known
}

async function readGolden(label: string): Promise<GoldenCase> {
  const json = await loadGoldenJson<CaseJson>(`${label}.json`)
  const config = checkConfig(json.config)
  const list = planParameters(config)
  const index = await loadTensorIndex(`${goldenDirectory}${label}.safetensors`)
  let weights: Float32Array | null = null
  return {
    label,
    json,
    config,
    processor: { ...checkProcessorConfig(json.processor), resample: 3 },
    list,
    get weights() {
      weights ??= hashedWeights(list, json.seed, config.tied)
      return weights
    },
    index,
    async tensor(name) {
      const entry = index.get(name)
      if (!entry)
        throw new Error(`parity: ${label}.safetensors must hold ${name}, got no such tensor. Make the goldens again.`)
      return { data: await loadTensor(name, entry), shape: entry.shape }
    },
    sequence(name) {
      const { tokens, images } = json.sequences[name]!
      return { tokens: Int32Array.from(tokens), images: images.map((i) => syntheticImage(json.images[i]!)) }
    },
  }
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}

/** Largest |difference| over `scale`, the largest |element| of the golden; the difference itself where that is 0. */
export function scaledError(got: ArrayLike<number>, want: ArrayLike<number>, scale = largestOf(want)): number {
  if (got.length !== want.length) throw new Error(`parity: ${want.length} values are compared, got ${got.length}.`)
  let difference = 0
  for (let i = 0; i < want.length; i++) difference = Math.max(difference, Math.abs(got[i]! - want[i]!))
  return scale === 0 ? difference : difference / scale
}

/** Elements below this share of their tensor's largest are left out element by element. */
const LARGE_SHARE = 0.1

/** Largest |difference| / |element| over the elements of at least a tenth of `scale`. */
export function largeElementError(got: ArrayLike<number>, want: ArrayLike<number>, scale = largestOf(want)): number {
  let error = 0
  for (let i = 0; i < want.length; i++) {
    const size = Math.abs(want[i]!)
    if (size > 0 && size >= LARGE_SHARE * scale) error = Math.max(error, Math.abs(got[i]! - want[i]!) / size)
  }
  return error
}

/** Reads any tensor of a packed graph after a forward pass: every activation keeps its own place. */
export class GraphProbe {
  readonly packed: PackedGraph
  private readonly plan: LoadedPlan
  private readonly golden: GoldenCase

  constructor(golden: GoldenCase, executor: Executor) {
    const { config, list } = golden
    this.golden = golden
    const capacities = { tokens: 160, imageTokens: 96, selections: 160, spans: 2048 }
    this.packed = buildPackedGraph({ config, list, capacities, region: PARAMS, gradientRegion: null })
    for (const tensor of this.packed.graph.tensors)
      if (tensor.storage.kind === 'arena') Object.assign(tensor, { storage: { kind: 'arena', host: true } })
    this.plan = executor.load(planGraph(this.packed.graph))
  }

  async run(sequence: TrainSequence): Promise<void> {
    const { config, processor } = this.golden
    const { graph } = this.packed
    const capacities = {
      tokens: graph.capacities.T!,
      imageTokens: graph.capacities.I!,
      selections: graph.capacities.S!,
      spans: 2048,
    }
    const [batch] = planMicroBatches([sequence], config.imageTokenId, processor, capacities)
    writeMicroBatch(this.plan, this.packed, batch!, processor)
    await this.plan.run('forward', liveWords(batch!, 1))
  }

  async read(tensor: Tensor, rows: number): Promise<Float32Array> {
    return Float32Array.from(await this.plan.read(tensor, rows))
  }

  close(): void {
    this.plan.free()
  }
}

/** Finds tensors of the model's graph by the parameters they come from. */
export class TensorFinder {
  private readonly graph: Graph

  constructor(graph: Graph) {
    this.graph = graph
  }

  private find(what: string, tensor: Tensor | undefined): Tensor {
    if (!tensor) throw new Error(`parity: the graph has no ${what}. Follow the model's change in parity.fixture.ts.`)
    return tensor
  }

  private opWith(name: string) {
    return this.graph.ops.find((op) => op.inputs.some((input) => input.name === name))
  }

  /** Output of the op that takes the parameter `name`. */
  output(name: string): Tensor {
    return this.find(`op with ${name}`, this.opWith(name)?.outputs[0])
  }

  /** First input of the op that takes the parameter `name`. */
  input(name: string): Tensor {
    return this.find(`op with ${name}`, this.opWith(name)?.inputs[0])
  }

  /** Output of the `kind` op that reads `tensor`, or a view of it. */
  after(tensor: Tensor, kind: string): Tensor {
    const root = this.graph.root(tensor)
    const op = this.graph.ops.find(
      (candidate) =>
        candidate.definition.name === kind && candidate.inputs.some((input) => this.graph.root(input) === root),
    )
    return this.find(`${kind} after ${tensor.name}`, op?.outputs[0])
  }

  named(name: string): Tensor {
    return this.find(
      name,
      this.graph.tensors.find((tensor) => tensor.name === name),
    )
  }
}

/** Where the goldens' places are in the graph. Rows: 'patches', 'image tokens', 'tokens' or 'selections'. */
export function findPlaces(config: ModelConfig, graph: Graph): Map<string, Tensor> {
  const finder = new TensorFinder(graph)
  const places = new Map<string, Tensor>()
  const { depth, width, deepstackBlocks } = config.vision
  for (let j = 0; j < depth; j++) {
    const name = `model.visual.blocks.${j}`
    if (j === 0) {
      places.set('vision.embedded', finder.input(`${name}.norm1.weight`))
      const part = (k: number) =>
        finder.after(finder.output(`${name}.attn.qkv.weight[${k * width}:${(k + 1) * width}]`), 'rope')
      places.set('vision.0.q', part(0)).set('vision.0.k', part(1))
    }
    places.set(`vision.${j}.attention`, finder.input(`${name}.attn.proj.weight`))
    places.set(`vision.${j}.attention_out`, finder.output(`${name}.attn.proj.weight`))
    places.set(`vision.${j}.mlp_out`, finder.output(`${name}.mlp.linear_fc2.weight`))
    places.set(`vision.${j}.out`, finder.after(finder.output(`${name}.mlp.linear_fc2.weight`), 'add'))
  }
  for (let k = 0; k < deepstackBlocks.length; k++)
    places.set(`vision.deepstack.${k}`, finder.output(`model.visual.deepstack_merger_list.${k}.linear_fc2.weight`))
  places.set('vision.merger', finder.output('model.visual.merger.linear_fc2.weight'))
  places.set('vision.cos', finder.named('vision cos')).set('vision.sin', finder.named('vision sin'))
  places.set('text.cos', finder.named('cos')).set('text.sin', finder.named('sin'))
  for (let i = 0; i < config.text.layerCount; i++) {
    const name = `model.language_model.layers.${i}`
    places.set(i === 0 ? 'text.embedded' : `text.${i}.in`, finder.input(`${name}.input_layernorm.weight`))
    if (i === 0)
      for (const part of ['q', 'k'])
        places.set(`text.0.${part}`, finder.after(finder.output(`${name}.self_attn.${part}_norm.weight`), 'rope'))
    places.set(`text.${i}.attention`, finder.input(`${name}.self_attn.o_proj.weight`))
    places.set(`text.${i}.attention_out`, finder.output(`${name}.self_attn.o_proj.weight`))
    places.set(`text.${i}.mlp_out`, finder.output(`${name}.mlp.down_proj.weight`))
    if (i === config.text.layerCount - 1)
      places.set('text.out', finder.after(finder.output(`${name}.mlp.down_proj.weight`), 'add'))
  }
  places.set('text.norm', finder.output('model.language_model.norm.weight'))
  places.set('logits', finder.named('logprob.logits'))
  return places
}
