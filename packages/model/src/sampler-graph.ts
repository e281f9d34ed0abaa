/**
 * The sampler's two graphs: `encode` (images -> feature pool) and `step` (token rows -> KV pool, and one sampled token for each selected row).
 * A step takes prefill and decode rows alike. Not here: scheduling (sampler.ts).
 *
 * Symbols: T token rows, I merged image tokens, S sampled rows.
 */
import { Graph, sample, scatterRows, type Tensor } from '@axpo/kernels'
import type { ModelConfig } from './config.ts'
import { hostSpans, hostSparse } from './host-lists.ts'
import { declareVision, vocabularyTile } from './packed-graph.ts'
import type { ParameterList } from './parameters.ts'
import { buildSelection, buildText, headWeight } from './text.ts'
import { buildVision, type VisionInputs } from './vision.ts'
import { bindWeights } from './weights.ts'

export interface SamplerCapacities {
  /** Token rows of one step (prefill and decode together). */
  readonly stepTokens: number
  /** Sequences decoding at once. */
  readonly sequences: number
  /** (start, length) ranges of all rows of a step together. */
  readonly stepSpans: number
  /** Rows of the KV pool. */
  readonly kvRows: number
  /** Merged image tokens whose features are kept. */
  readonly featureRows: number
  /** Merged image tokens encoded at once. */
  readonly encodeTokens: number
}

export const FEATURES = 'features'
export const KV = 'kv'

/** Slice k of the feature region: 0 = embeddings, 1.. = deepstack taps. */
function featureTable(g: Graph, config: ModelConfig, capacities: SamplerCapacities, k: number): Tensor {
  return g.persistent(
    `features ${k}`,
    FEATURES,
    k * capacities.featureRows * config.text.width,
    capacities.featureRows,
    config.text.width,
  )
}

export function featureElements(config: ModelConfig, capacities: SamplerCapacities): number {
  return (1 + config.vision.deepstackBlocks.length) * capacities.featureRows * config.text.width
}

export function kvElements(config: ModelConfig, capacities: SamplerCapacities): number {
  return 2 * config.text.layerCount * capacities.kvRows * config.text.kvHeads * config.text.headChannels
}

export interface EncodeGraph {
  readonly graph: Graph
  readonly vision: VisionInputs
  /** Feature pool row of each merged token. */
  readonly destination: Tensor
}

export function buildEncodeGraph(
  config: ModelConfig,
  list: ParameterList,
  region: string,
  capacities: SamplerCapacities,
): EncodeGraph {
  const g = new Graph({ I: capacities.encodeTokens })
  const I = g.symbol('I')
  const vision = declareVision(g, config, I, false)
  const destination = g.host('feature rows', I, 1, 'i32')
  const { features, deepstack } = buildVision(g, config, bindWeights(g, list, region, null), vision)
  for (const [k, tensor] of [features, ...deepstack].entries())
    scatterRows(g, tensor, featureTable(g, config, capacities, k), destination)
  return { graph: g, vision, destination }
}

export interface StepGraph {
  readonly graph: Graph
  readonly embedding: Tensor
  readonly image: Tensor
  readonly cos: Tensor
  readonly sin: Tensor
  readonly spans: Tensor
  readonly destination: Tensor
  readonly selection: Tensor
  /** [S, 8] seed, step, question, sample, position, 0, 0, 0. */
  readonly keys: Tensor
  /** [S, 1] i32. */
  readonly ids: Tensor
  /** [S, 4] log-probability, entropy, log-sum-exp, 0 of the sampled token. */
  readonly out: Tensor
}

export function buildStepGraph(
  config: ModelConfig,
  list: ParameterList,
  region: string,
  capacities: SamplerCapacities,
): StepGraph {
  const g = new Graph({ T: capacities.stepTokens, S: capacities.sequences })
  const [T, S] = [g.symbol('T'), g.symbol('S')]
  const weights = bindWeights(g, list, region, null)
  const { layerCount, kvHeads, headChannels } = config.text
  const slab = capacities.kvRows * kvHeads * headChannels
  const pool = (k: number) => g.persistent(`kv ${k}`, KV, k * slab, capacities.kvRows, kvHeads * headChannels)
  const inputs = {
    embedding: hostSparse(g, 'embedding', T, capacities.stepTokens),
    image: hostSparse(g, 'image', T, capacities.stepTokens),
    cos: g.host('cos', T, headChannels / 2),
    sin: g.host('sin', T, headChannels / 2),
    spans: hostSpans(g, 'spans', T, capacities.stepSpans),
    destination: g.host('kv rows', T, 1, 'i32'),
    selection: hostSparse(g, 'selection', S, capacities.sequences),
    keys: g.host('keys', S, 8, 'i32'),
  }
  const hidden = buildText(
    g,
    config,
    weights,
    {
      rows: T,
      embedding: { csr: inputs.embedding },
      image: { csr: inputs.image },
      cos: inputs.cos,
      sin: inputs.sin,
      spans: inputs.spans,
      pool: {
        destination: inputs.destination,
        keys: Array.from({ length: layerCount }, (_, i) => pool(2 * i)),
        values: Array.from({ length: layerCount }, (_, i) => pool(2 * i + 1)),
      },
    },
    {
      features: featureTable(g, config, capacities, 0),
      deepstack: config.vision.deepstackBlocks.map((_, k) => featureTable(g, config, capacities, k + 1)),
    },
  )
  const sampled = sample(g, {
    hidden: buildSelection(g, config, weights, hidden, { csr: inputs.selection }, S),
    head: headWeight(config, weights),
    keys: inputs.keys,
    vocab: config.text.vocabSize,
    tileWidth: vocabularyTile(config),
    invTemperature: 'invTemperature',
    noise: 'noise',
  })
  return { graph: g, ...inputs, ids: sampled.ids, out: sampled.out }
}
