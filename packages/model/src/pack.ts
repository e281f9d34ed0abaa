/**
 * Packs sequences depth-first into micro-batches: sequences in lexicographic order form a tree of token runs, and a shared prefix (the same prompt, a
 * fork) is one set of rows. Pure host code: no kernels here.
 *
 * A row is one token whose hidden state is needed; the last token of a sequence is only a target. Row i sees its spans (its ancestors' rows and
 * its own, as few (start, length) ranges as possible); kv row j is seen by rows [j, queryEnd_j), one range because the order is depth-first.
 * A tree larger than the capacity is split by copying the prefix into the next micro-batch.
 */
import { findImageRuns, planPositions } from './positions.ts'
import { type Grid, imageGrid, type ProcessorConfig, type RawImage } from './processor.ts'

export interface ImageRef {
  /** Hash of the image, the identity under which its features are shared. */
  readonly sha256: string
  readonly image: RawImage
}

export interface TrainSequence {
  readonly tokens: Int32Array
  /** In order of their pad runs. */
  readonly images: readonly ImageRef[]
  /** 1 where the token's log-probability is wanted. Absent: every token but the first. */
  readonly selected?: Uint8Array
}

export interface PackCapacities {
  /** Rows of a micro-batch. */
  readonly tokens: number
  /** Merged image tokens of a micro-batch. */
  readonly imageTokens: number
  /** (row, target) pairs of a micro-batch. */
  readonly selections: number
  /** (start, length) ranges of all rows together. */
  readonly spans: number
}

export interface PackedImage extends Grid {
  readonly ref: ImageRef
  /** First merged token in the micro-batch's vision rows. */
  readonly start: number
  readonly tokenCount: number
}

export interface MicroBatch {
  /** Token id a row. */
  readonly tokens: number[]
  /** Vision row a row takes instead of its embedding, or -1. */
  readonly imageRows: number[]
  /** Position triples. */
  readonly positions: number[]
  /** Ranges of row i: spanPairs[2 * spanPointers[i] ..]. */
  readonly spanPointers: number[]
  readonly spanPairs: number[]
  readonly queryEnds: number[]
  readonly images: PackedImage[]
  imageTokenCount: number
  readonly selectionRows: number[]
  readonly selectionTargets: number[]
  /** Triples (sequence, token index, selection): where each log-probability belongs. */
  readonly uses: number[]
}

interface Prepared {
  readonly index: number
  readonly sequence: TrainSequence
  /** Token id, or -(1 + image number) on pads: what makes two rows the same. */
  readonly keys: Int32Array
  readonly positions: Int32Array
  /** Image number and offset inside the image, on pads. */
  readonly runs: readonly {
    readonly image: number
    readonly tokenStart: number
    readonly tokenCount: number
    readonly grid: Grid
  }[]
  readonly rowCount: number
}

function prepare(
  sequences: readonly TrainSequence[],
  imageTokenId: number,
  processor: ProcessorConfig,
): { prepared: Prepared[]; refs: ImageRef[] } {
  const refs: ImageRef[] = []
  const numbers = new Map<string, number>()
  const prepared = sequences.map((sequence, index): Prepared => {
    const { tokens, images, selected } = sequence
    if (selected && selected.length !== tokens.length)
      throw new Error(
        `pack: selected of sequence ${index} must have ${tokens.length} entries, got ${selected.length}. Pass one flag a token.`,
      )
    if (selected?.[0] === 1)
      throw new Error(`pack: token 0 of sequence ${index} has no prefix and cannot be selected. Clear its flag.`)
    const rowCount = Math.max(0, tokens.length - 1)
    const grids = images.map((ref) => imageGrid(ref.image, processor))
    const runs = findImageRuns(tokens.subarray(0, rowCount), imageTokenId, grids).map((run, i) => {
      const ref = images[i]!
      let image = numbers.get(ref.sha256)
      if (image === undefined) {
        image = refs.push(ref) - 1
        numbers.set(ref.sha256, image)
      }
      return { image, tokenStart: run.tokenStart, tokenCount: run.tokenCount, grid: { gh: run.gh, gw: run.gw } }
    })
    const keys = Int32Array.from(tokens)
    for (const run of runs) keys.fill(-1 - run.image, run.tokenStart, run.tokenStart + run.tokenCount)
    const { positions } = planPositions(
      rowCount,
      runs.map((run) => ({ ...run, ...run.grid })),
    )
    return { index, sequence, keys, positions, runs, rowCount }
  })
  return { prepared, refs }
}

function compareKeys(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length)
  let i = 0
  while (i < length && a[i] === b[i]) i++
  return i
}

class Packer {
  readonly batch: MicroBatch = {
    tokens: [],
    imageRows: [],
    positions: [],
    spanPointers: [0],
    spanPairs: [],
    queryEnds: [],
    images: [],
    imageTokenCount: 0,
    selectionRows: [],
    selectionTargets: [],
    uses: [],
  }
  /** Rows of the last sequence added, by token index. */
  private readonly path: number[] = []
  private previous: Prepared | null = null
  private readonly imageStarts = new Map<number, number>()
  private readonly selectionOf = new Map<string, number>()
  private readonly capacities: PackCapacities
  private readonly refs: readonly ImageRef[]

  constructor(capacities: PackCapacities, refs: readonly ImageRef[]) {
    this.capacities = capacities
    this.refs = refs
  }

  private pop(length: number): void {
    while (this.path.length > length) this.batch.queryEnds[this.path.pop()!] = this.batch.tokens.length
  }

  /** False, with nothing added, when the sequence does not fit beside what is there. */
  tryAdd(item: Prepared): boolean {
    const { batch, capacities } = this
    const shared = this.previous
      ? Math.min(commonLength(this.previous.keys, item.keys), this.path.length, item.rowCount)
      : 0
    const newImages = item.runs.filter(
      (run, i) => !this.imageStarts.has(run.image) && item.runs.findIndex((r) => r.image === run.image) === i,
    )
    const newImageTokens = newImages.reduce((total, run) => total + run.tokenCount, 0)
    const wanted = item.sequence.selected
      ? item.sequence.selected.reduce((total, flag) => total + flag, 0)
      : item.rowCount
    const newRows = item.rowCount - shared
    const fits =
      batch.tokens.length + newRows <= capacities.tokens &&
      batch.imageTokenCount + newImageTokens <= capacities.imageTokens &&
      batch.selectionRows.length + wanted <= capacities.selections
    if (!fits) return false
    this.pop(shared)
    const spanCost = newRows * (this.countRuns() + 1)
    if (batch.spanPairs.length / 2 + spanCost > capacities.spans) return false
    for (const run of newImages) {
      batch.images.push({
        ref: this.refs[run.image]!,
        ...run.grid,
        start: batch.imageTokenCount,
        tokenCount: run.tokenCount,
      })
      this.imageStarts.set(run.image, batch.imageTokenCount)
      batch.imageTokenCount += run.tokenCount
    }
    this.addRows(item, shared)
    this.addSelections(item)
    this.previous = item
    return true
  }

  private countRuns(): number {
    let runs = 0
    for (let i = 0; i < this.path.length; i++) if (i === 0 || this.path[i] !== this.path[i - 1]! + 1) runs++
    return runs
  }

  private addRows(item: Prepared, shared: number): void {
    const { batch, path } = this
    const pairs: number[] = []
    const see = (row: number) => {
      const last = pairs.length - 2
      if (last >= 0 && pairs[last]! + pairs[last + 1]! === row) pairs[last + 1]!++
      else pairs.push(row, 1)
    }
    for (const row of path) see(row)
    let run = 0
    for (let i = shared; i < item.rowCount; i++) {
      const row = batch.tokens.length
      while (run < item.runs.length && item.runs[run]!.tokenStart + item.runs[run]!.tokenCount <= i) run++
      const image = item.runs[run]
      const inside = image !== undefined && i >= image.tokenStart
      batch.tokens.push(item.sequence.tokens[i]!)
      batch.imageRows.push(inside ? this.imageStarts.get(image.image)! + i - image.tokenStart : -1)
      batch.positions.push(item.positions[i * 3]!, item.positions[i * 3 + 1]!, item.positions[i * 3 + 2]!)
      path.push(row)
      see(row)
      for (const value of pairs) batch.spanPairs.push(value)
      batch.spanPointers.push(batch.spanPairs.length / 2)
    }
  }

  private addSelections(item: Prepared): void {
    const { batch, path } = this
    const { tokens, selected } = item.sequence
    for (let i = 1; i < tokens.length; i++) {
      if (selected && selected[i] === 0) continue
      const row = path[i - 1]!
      const name = `${row},${tokens[i]}`
      let selection = this.selectionOf.get(name)
      if (selection === undefined) {
        selection = batch.selectionRows.push(row) - 1
        batch.selectionTargets.push(tokens[i]!)
        this.selectionOf.set(name, selection)
      }
      batch.uses.push(item.index, i, selection)
    }
  }

  finish(): MicroBatch {
    this.pop(0)
    return this.batch
  }
}

/** Micro-batches covering every sequence. Throws when one sequence alone exceeds the capacities. */
export function planMicroBatches(
  sequences: readonly TrainSequence[],
  imageTokenId: number,
  processor: ProcessorConfig,
  capacities: PackCapacities,
): MicroBatch[] {
  const { prepared, refs } = prepare(sequences, imageTokenId, processor)
  prepared.sort((a, b) => compareKeys(a.keys, b.keys) || a.index - b.index)
  const batches: MicroBatch[] = []
  let packer = new Packer(capacities, refs)
  for (const item of prepared) {
    if (packer.tryAdd(item)) continue
    batches.push(packer.finish())
    packer = new Packer(capacities, refs)
    if (!packer.tryAdd(item))
      throw new Error(
        `pack: sequence ${item.index} must fit in a micro-batch of ${capacities.tokens} tokens, ${capacities.imageTokens} image tokens, ${capacities.selections} selections and ${capacities.spans} spans, got ${item.rowCount} rows. Raise the learner's capacities.`,
      )
  }
  batches.push(packer.finish())
  return batches.filter((batch) => batch.tokens.length > 0)
}
