/**
 * The rows of one sampler step, collected in arrays made once and written into the step graph's host tensors. A decoding row costs its spans and one row of
 * a rotary table, whatever the context. Not here: which rows run (sampler.ts), what a row's KV place is (kv-cache.ts).
 *
 * Lists have at most one entry a row: pointers 0, 1, 2, ... where every row has one.
 */
import type { LoadedPlan, Tensor } from '@axpo/kernels'
import type { TextConfig } from './config.ts'
import { createTextRope, type TextRope } from './positions.ts'
import type { SamplerCapacities, StepGraph } from './sampler-graph.ts'

export class StepRows {
  /** Token rows so far. */
  count = 0
  /** (start, length) ranges so far. */
  spanCount = 0
  /** Rows that sample so far. */
  selectedCount = 0
  private readonly capacities: SamplerCapacities
  private readonly embeddingPointers: Int32Array
  private readonly embedding: Int32Array
  private readonly imagePointers: Int32Array
  private readonly image: Int32Array
  private readonly destinations: Int32Array
  private readonly spanPointers: Int32Array
  private readonly spanPairs: Int32Array
  private readonly selection: Int32Array
  private readonly keys: Int32Array
  private readonly cos: Float32Array
  private readonly sin: Float32Array
  private readonly rope: RopeRows
  private readonly half: number
  /** Leading rows of the device's lists that stand as of rows without images. */
  private plainRows = 0

  constructor(config: TextConfig, capacities: SamplerCapacities) {
    const { stepTokens, sequences, stepSpans } = capacities
    this.capacities = capacities
    this.half = config.headChannels / 2
    this.embeddingPointers = new Int32Array(stepTokens + 1)
    this.embedding = new Int32Array(stepTokens)
    this.imagePointers = new Int32Array(stepTokens + 1)
    this.image = new Int32Array(stepTokens)
    this.destinations = new Int32Array(stepTokens)
    this.spanPointers = new Int32Array(stepTokens + 1)
    this.spanPairs = new Int32Array(2 * stepSpans)
    this.selection = new Int32Array(sequences)
    this.keys = new Int32Array(8 * sequences)
    this.cos = new Float32Array(stepTokens * this.half)
    this.sin = new Float32Array(stepTokens * this.half)
    this.rope = new RopeRows(config)
  }

  clear(): void {
    this.count = 0
    this.spanCount = 0
    this.selectedCount = 0
  }

  /** Rows of a sequence with so many ranges that there is still room for. */
  room(rangeCount: number): number {
    const { stepTokens, stepSpans } = this.capacities
    return Math.min(stepTokens - this.count, Math.floor((stepSpans - this.spanCount) / rangeCount))
  }

  /** A text token that sees the first `visible` rows of `ranges`. */
  addToken(token: number, position: number, kvRow: number, ranges: readonly number[], visible: number): void {
    const entries = this.embeddingPointers[this.count]!
    this.embedding[entries] = token
    this.embeddingPointers[this.count + 1] = entries + 1
    this.imagePointers[this.count + 1] = this.imagePointers[this.count]!
    this.rope.copy(this.cos, this.sin, this.count, position)
    this.addRow(kvRow, ranges, visible)
  }

  /** An image token: row `feature` of the feature pool, its position triple at positions[index * 3]. */
  addImage(
    feature: number,
    positions: Int32Array,
    index: number,
    kvRow: number,
    ranges: readonly number[],
    visible: number,
  ): void {
    const entries = this.imagePointers[this.count]!
    this.image[entries] = feature
    this.imagePointers[this.count + 1] = entries + 1
    this.embeddingPointers[this.count + 1] = this.embeddingPointers[this.count]!
    this.rope.table.write(this.cos, this.sin, this.count, positions, index)
    this.addRow(kvRow, ranges, visible)
  }

  private addRow(kvRow: number, ranges: readonly number[], visible: number): void {
    this.destinations[this.count] = kvRow
    const { spanPairs } = this
    let at = 2 * this.spanCount
    for (let i = 0, left = visible; left > 0; i += 2) {
      const length = Math.min(left, ranges[i + 1]!)
      spanPairs[at++] = ranges[i]!
      spanPairs[at++] = length
      left -= length
    }
    this.spanCount = at / 2
    this.spanPointers[++this.count] = this.spanCount
  }

  /** The row added last samples: `key` = seed, step, question, sample; `position` is the context index of the token it gives. */
  select(
    key: { readonly seed: number; readonly step: number; readonly question: number; readonly sample: number },
    position: number,
  ): void {
    this.selection[this.selectedCount] = this.count - 1
    const at = 8 * this.selectedCount++
    this.keys[at] = key.seed
    this.keys[at + 1] = key.step
    this.keys[at + 2] = key.question
    this.keys[at + 3] = key.sample
    this.keys[at + 4] = position
  }

  write(plan: LoadedPlan, graph: StepGraph): void {
    const { stepTokens, sequences } = this.capacities
    const { count, selectedCount } = this
    const embedded = this.embeddingPointers[count]!
    if (embedded < count || count > this.plainRows) {
      plan.write(graph.embedding, this.embeddingPointers.subarray(0, count + 1))
      plan.write(graph.image, this.imagePointers.subarray(0, count + 1))
      this.plainRows = embedded === count ? count : 0
    }
    const put = (tensor: Tensor, data: Int32Array | Float32Array, length: number, offset = 0) => {
      if (length > 0) plan.write(tensor, data.subarray(0, length), offset)
    }
    put(graph.embedding, this.embedding, embedded, stepTokens + 1)
    put(graph.image, this.image, this.imagePointers[count]!, stepTokens + 1)
    put(graph.cos, this.cos, count * this.half)
    put(graph.sin, this.sin, count * this.half)
    put(graph.spans, this.spanPointers, count + 1)
    put(graph.spans, this.spanPairs, 2 * this.spanCount, stepTokens + 1)
    put(graph.destination, this.destinations, count)
    put(graph.selection, this.selection, selectedCount, sequences + 1)
    put(graph.keys, this.keys, 8 * selectedCount)
  }

  /** What no step changes: every sampling row selects one row. */
  writeFixed(plan: LoadedPlan, graph: StepGraph): void {
    plan.write(
      graph.selection,
      Int32Array.from({ length: this.capacities.sequences + 1 }, (_, i) => i),
    )
  }
}

/** Rows of the rotary tables of text positions, made once each. */
class RopeRows {
  readonly table: TextRope
  private readonly half: number
  private cos = new Float32Array(0)
  private sin = new Float32Array(0)
  private filled = 0

  constructor(config: TextConfig) {
    this.table = createTextRope(config)
    this.half = config.headChannels / 2
  }

  copy(cos: Float32Array, sin: Float32Array, row: number, position: number): void {
    if (position >= this.filled) this.fill(position)
    const { half } = this
    for (let j = 0, to = row * half, from = position * half; j < half; j++, to++, from++) {
      cos[to] = this.cos[from]!
      sin[to] = this.sin[from]!
    }
  }

  private fill(position: number): void {
    const rows = Math.max(256, 2 ** Math.ceil(Math.log2(position + 1)))
    if (rows * this.half > this.cos.length) {
      const [cos, sin] = [new Float32Array(rows * this.half), new Float32Array(rows * this.half)]
      cos.set(this.cos)
      sin.set(this.sin)
      this.cos = cos
      this.sin = sin
    }
    const triple = new Int32Array(3)
    for (; this.filled <= position; this.filled++)
      this.table.write(this.cos, this.sin, this.filled, triple.fill(this.filled), 0)
  }
}
