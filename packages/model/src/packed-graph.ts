/**
 * The graph of a packed micro-batch (tree attention, keys and values as activations) for training or scoring, and how a micro-batch is written
 * into its host tensors. Not here: what is done with the log-probabilities (learner.ts, scorer.ts).
 *
 * Symbols: T token rows, I merged image tokens, S selections.
 */
import { Graph, type LoadedPlan, logprob, type Rows, type Tensor, timesRows } from '@axpo/kernels'
import { type ModelConfig, patchWidth } from './config.ts'
import { hostSpans, hostSparse, singleColumns, transposeList, writeList } from './host-lists.ts'
import type { MicroBatch, PackCapacities } from './pack.ts'
import type { ParameterList } from './parameters.ts'
import { createTextRope, createVisionTables, type TextRope } from './positions.ts'
import { type ProcessorConfig, processImage } from './processor.ts'
import { buildSelection, buildText, headWeight, type Sparse } from './text.ts'
import { buildVision, type VisionInputs } from './vision.ts'
import { bindWeights } from './weights.ts'

/** Columns of the vocabulary whose logits are in memory at once. */
export const VOCABULARY_TILE = 8192

export function vocabularyTile(config: ModelConfig): number {
  return Math.min(VOCABULARY_TILE, config.text.vocabSize)
}

export interface PackedGraph {
  readonly graph: Graph
  readonly config: ModelConfig
  readonly trained: boolean
  readonly vision: VisionInputs
  readonly embedding: Sparse
  readonly image: Sparse
  readonly selection: Sparse
  readonly cos: Tensor
  readonly sin: Tensor
  readonly spans: Tensor
  readonly queries: Tensor | undefined
  readonly targets: Tensor
  /** [S, 2] gradient of (log-probability, entropy), given by the caller. */
  readonly dout: Tensor | undefined
  /** [S, 4] log-probability, entropy, log-sum-exp, 0. */
  readonly out: Tensor
  readonly rope: TextRope
}

function sparse(g: Graph, name: string, rows: Rows, entries: number, columns: Rows | null): Sparse {
  return {
    csr: hostSparse(g, name, rows, entries),
    ...(columns ? { csrTransposed: hostSparse(g, `${name} transposed`, columns, entries) } : {}),
  }
}

/** Host tensors of the vision tower; also used by the sampler's encoder. */
export function declareVision(g: Graph, config: ModelConfig, rows: Rows, trained: boolean): VisionInputs {
  const { vision } = config
  const patches = timesRows(rows, 4)
  const capacity = g.capacityRows(patches)
  const half = vision.width / vision.heads / 2
  const table: Rows = { symbol: null, count: vision.positionSide ** 2 }
  return {
    rows,
    patches: g.host('patches', patches, patchWidth(vision)),
    cos: g.host('vision cos', patches, half),
    sin: g.host('vision sin', patches, half),
    corners: hostSparse(g, 'corners', patches, 4 * capacity),
    cornerWeights: g.host('corner weights', 4 * capacity, 1),
    spans: hostSpans(g, 'vision spans', patches, capacity),
    ...(trained
      ? {
          cornersTransposed: hostSparse(g, 'corners transposed', table, 4 * capacity),
          cornerWeightsTransposed: g.host('corner weights transposed', 4 * capacity, 1),
          queries: g.host('vision queries', patches, 2, 'i32'),
        }
      : {}),
  }
}

export interface PackedGraphOptions {
  readonly config: ModelConfig
  readonly list: ParameterList
  readonly capacities: PackCapacities
  readonly region: string
  /** Null: forward only. */
  readonly gradientRegion: string | null
}

export function buildPackedGraph(options: PackedGraphOptions): PackedGraph {
  const { config, list, capacities, region, gradientRegion } = options
  const trained = gradientRegion !== null
  const g = new Graph({ T: capacities.tokens, I: capacities.imageTokens, S: capacities.selections })
  const [T, I, S] = [g.symbol('T'), g.symbol('I'), g.symbol('S')]
  const weights = bindWeights(g, list, region, gradientRegion)
  const vision = declareVision(g, config, I, trained)
  const half = config.text.headChannels / 2
  const inputs = {
    embedding: sparse(
      g,
      'embedding',
      T,
      capacities.tokens,
      trained ? { symbol: null, count: config.text.vocabSize } : null,
    ),
    image: sparse(g, 'image', T, capacities.tokens, trained ? I : null),
    selection: sparse(g, 'selection', S, capacities.selections, trained ? T : null),
    cos: g.host('cos', T, half),
    sin: g.host('sin', T, half),
    spans: hostSpans(g, 'spans', T, capacities.spans),
    queries: trained ? g.host('queries', T, 2, 'i32') : undefined,
    targets: g.host('targets', S, 1, 'i32'),
    dout: trained ? g.host('d out', S, 2) : undefined,
  }
  const hidden = buildText(
    g,
    config,
    weights,
    {
      rows: T,
      embedding: inputs.embedding,
      image: inputs.image,
      cos: inputs.cos,
      sin: inputs.sin,
      spans: inputs.spans,
      ...(inputs.queries ? { queries: inputs.queries } : {}),
    },
    buildVision(g, config, weights, vision),
  )
  const out = logprob(g, {
    hidden: buildSelection(g, config, weights, hidden, inputs.selection, S),
    head: headWeight(config, weights),
    targets: inputs.targets,
    ...(inputs.dout ? { dout: inputs.dout } : {}),
    vocab: config.text.vocabSize,
    tileWidth: vocabularyTile(config),
    invTemperature: 'invTemperature',
  })
  return { graph: g, config, trained, vision, ...inputs, out, rope: createTextRope(config.text) }
}

export interface EncodedImages {
  readonly tokenCount: number
  readonly images: readonly {
    readonly start: number
    readonly tokenCount: number
    readonly image: Parameters<typeof processImage>[0]
  }[]
}

/** Patches, tables and spans of a batch of images, in the order of their rows. */
export function writeVision(
  plan: LoadedPlan,
  g: Graph,
  inputs: VisionInputs,
  config: ModelConfig,
  processor: ProcessorConfig,
  batch: EncodedImages,
): void {
  const patchRows = batch.tokenCount * 4
  if (patchRows === 0) {
    emptyVision(plan, g, inputs)
    return
  }
  const width = patchWidth(config.vision)
  const half = config.vision.width / config.vision.heads / 2
  const patches = new Float32Array(patchRows * width)
  const cos = new Float32Array(patchRows * half)
  const sin = new Float32Array(patchRows * half)
  const corners = new Int32Array(patchRows * 4)
  const weights = new Float32Array(patchRows * 4)
  const pairs = new Int32Array(patchRows * 2)
  const queries = new Int32Array(patchRows * 2)
  for (const { start, tokenCount, image } of batch.images) {
    const processed = processImage(image, processor)
    const first = start * 4
    const tables = createVisionTables(processed, config.vision)
    patches.set(processed.patches, first * width)
    cos.set(tables.cos, first * half)
    sin.set(tables.sin, first * half)
    corners.set(tables.corners, first * 4)
    weights.set(tables.weights, first * 4)
    for (let n = first; n < first + tokenCount * 4; n++) {
      pairs.set([first, tokenCount * 4], n * 2)
      queries.set([first, first + tokenCount * 4], n * 2)
    }
  }
  const capacity = g.capacityRows(timesRows(inputs.rows, 4))
  const pointers = Int32Array.from({ length: patchRows + 1 }, (_, i) => i * 4)
  plan.write(inputs.patches, patches)
  plan.write(inputs.cos, cos)
  plan.write(inputs.sin, sin)
  writeList(plan, inputs.corners, capacity, pointers, corners)
  plan.write(inputs.cornerWeights, weights)
  writeList(
    plan,
    inputs.spans,
    capacity,
    Int32Array.from({ length: patchRows + 1 }, (_, i) => i),
    pairs,
  )
  if (!inputs.cornersTransposed || !inputs.cornerWeightsTransposed || !inputs.queries) return
  const positions = config.vision.positionSide ** 2
  const back = transposeList(pointers, corners, positions)
  writeList(plan, inputs.cornersTransposed, positions, back.pointers, back.entries)
  plan.write(
    inputs.cornerWeightsTransposed,
    Float32Array.from(back.order, (k) => weights[k]!),
  )
  plan.write(inputs.queries, queries)
}

/** No image: the position table's gradient list must still say that nobody uses it. */
function emptyVision(plan: LoadedPlan, g: Graph, inputs: VisionInputs): void {
  writeList(plan, inputs.corners, g.capacityRows(timesRows(inputs.rows, 4)), [0], [])
  writeList(plan, inputs.spans, g.capacityRows(timesRows(inputs.rows, 4)), [0], [])
  if (inputs.cornersTransposed)
    plan.write(inputs.cornersTransposed, new Int32Array(inputs.cornersTransposed.rows.count))
}

/** Rotary tables of rows with the given position triples. */
export function ropeTables(
  rope: TextRope,
  half: number,
  positions: ArrayLike<number>,
): { cos: Float32Array; sin: Float32Array } {
  const rows = positions.length / 3
  const triples = Int32Array.from(positions)
  const cos = new Float32Array(rows * half)
  const sin = new Float32Array(rows * half)
  for (let row = 0; row < rows; row++) rope.write(cos, sin, row, triples, row)
  return { cos, sin }
}

export function writeMicroBatch(
  plan: LoadedPlan,
  packed: PackedGraph,
  batch: MicroBatch,
  processor: ProcessorConfig,
): void {
  const { graph: g, config } = packed
  const capacity = (symbol: string) => g.capacities[symbol]!
  writeVision(plan, g, packed.vision, config, processor, {
    tokenCount: batch.imageTokenCount,
    images: batch.images.map(({ ref, start, tokenCount }) => ({ start, tokenCount, image: ref.image })),
  })
  const sparseRows = (
    target: Sparse,
    rowCapacity: number,
    columns: ArrayLike<number>,
    liveColumns: number,
    columnCapacity: number,
  ) => {
    const { pointers, entries } = singleColumns(columns)
    writeList(plan, target.csr, rowCapacity, pointers, entries)
    if (!target.csrTransposed) return
    const back = transposeList(pointers, entries, liveColumns)
    writeList(plan, target.csrTransposed, columnCapacity, back.pointers, back.entries)
  }
  const vocab = config.text.vocabSize
  const embedded = batch.tokens.map((token, i) => (batch.imageRows[i]! >= 0 ? -1 : token))
  sparseRows(packed.embedding, capacity('T'), embedded, vocab, vocab)
  sparseRows(packed.image, capacity('T'), batch.imageRows, batch.imageTokenCount, capacity('I'))
  sparseRows(packed.selection, capacity('S'), batch.selectionRows, batch.tokens.length, capacity('T'))
  const { cos, sin } = ropeTables(packed.rope, config.text.headChannels / 2, batch.positions)
  plan.write(packed.cos, cos)
  plan.write(packed.sin, sin)
  writeList(plan, packed.spans, capacity('T'), batch.spanPointers, batch.spanPairs)
  if (packed.queries) plan.write(packed.queries, Int32Array.from(batch.queryEnds.flatMap((end, row) => [row, end])))
  if (batch.selectionTargets.length > 0) plan.write(packed.targets, Int32Array.from(batch.selectionTargets))
}

export function liveWords(batch: MicroBatch, temperature: number): Record<string, number> {
  return {
    T: batch.tokens.length,
    I: batch.imageTokenCount,
    S: batch.selectionRows.length,
    invTemperature: 1 / temperature,
  }
}

export interface Scores {
  /** One array a sequence, one entry a token, nats; 0 where not selected. */
  readonly logprobs: Float32Array[]
  readonly entropies: Float32Array[]
}

export function createScores(sequences: readonly { readonly tokens: Int32Array }[]): Scores {
  return {
    logprobs: sequences.map(({ tokens }) => new Float32Array(tokens.length)),
    entropies: sequences.map(({ tokens }) => new Float32Array(tokens.length)),
  }
}

/** Reads a micro-batch's output into the sequences' arrays. */
export async function readScores(
  plan: LoadedPlan,
  packed: PackedGraph,
  batch: MicroBatch,
  scores: Scores,
): Promise<void> {
  if (batch.selectionRows.length === 0) return
  const out = await plan.read(packed.out, batch.selectionRows.length)
  for (let u = 0; u < batch.uses.length; u += 3) {
    const [sequence, token, selection] = [batch.uses[u]!, batch.uses[u + 1]!, batch.uses[u + 2]!]
    scores.logprobs[sequence]![token] = out[selection * 4]!
    scores.entropies[sequence]![token] = out[selection * 4 + 1]!
  }
}
