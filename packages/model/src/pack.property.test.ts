/**
 * Properties of packing over random forests of sequences: shared prefixes, images, selections and capacities. What the micro-batches hold is spelled
 * out from their spans and compared with the sequences themselves. Fixed examples: pack.test.ts.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tinyProcessor as processor } from './model.fixture.ts'
import { type ImageRef, type MicroBatch, type PackCapacities, planMicroBatches, type TrainSequence } from './pack.ts'

/** The image pad token. */
const PAD = 99

const VISION_END = 98
const endless: PackCapacities = { tokens: 1e6, imageTokens: 1e6, selections: 1e6, spans: 1e6 }

/** Merged tokens down and across. The first two differ by their hash alone. */
const pictures = [
  { sha256: 'a', down: 2, across: 2 },
  { sha256: 'b', down: 2, across: 2 },
  { sha256: 'c', down: 1, across: 3 },
  { sha256: 'd', down: 3, across: 1 },
]

/** A token id, or a picture. */
type Piece = number | (typeof pictures)[number]

interface Sequence extends TrainSequence {
  /** One a token: what a row of it is, spelled out: token, picture, place in the picture, position triple. */
  readonly rows: readonly string[]
}

/** Every call makes new refs and pixels: only the hash says that two pictures are one. */
function spell(pieces: readonly Piece[]): Sequence {
  const tokens: number[] = []
  const images: ImageRef[] = []
  const rows: string[] = []
  let next = 0
  const push = (token: number, at: readonly number[], where = '') => {
    tokens.push(token)
    rows.push(`${token}${where}@${at.join(',')}`)
  }
  for (const piece of pieces) {
    if (typeof piece === 'number') {
      push(piece, [next, next, next])
      next++
      continue
    }
    const { sha256, down, across } = piece
    const [width, height] = [across * 8, down * 8]
    images.push({ sha256, image: { width, height, data: new Uint8Array(width * height * 3) } })
    for (let y = 0; y < down; y++)
      for (let x = 0; x < across; x++) push(PAD, [next, next + y, next + x], `${sha256}${y * across + x}`)
    next += Math.max(down, across)
    push(VISION_END, [next, next, next])
    next++
  }
  return { tokens: Int32Array.from(tokens), images, rows }
}

/** Few token ids, so that sequences meet by chance; most are forks of an earlier one besides. */
const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(...pictures) },
)
const branch = fc.record({
  from: fc.option(fc.nat(), { freq: 5 }),
  cut: fc.nat(),
  tail: fc.array(piece, { maxLength: 8 }),
  /** Repeated over the tokens. */
  selected: fc.option(fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), { freq: 3 }),
})
const forest: fc.Arbitrary<Sequence[]> = fc.array(branch, { minLength: 1, maxLength: 10 }).map((branches) => {
  const grown: Piece[][] = []
  return branches.map(({ from, cut, tail, selected }) => {
    const source = from === null ? [] : (grown[from % Math.max(1, grown.length)] ?? [])
    const pieces = [...source.slice(0, cut % (source.length + 1)), ...tail]
    grown.push(pieces)
    const sequence = spell(pieces)
    if (!selected) return sequence
    const flags = sequence.rows.map((_, i) => (i > 0 && selected[i % selected.length] ? 1 : 0))
    return { ...sequence, selected: Uint8Array.from(flags) }
  })
})

const isSelected = (s: TrainSequence, i: number) => i > 0 && (s.selected === undefined || s.selected[i] === 1)
const pathOf = (s: Sequence, i: number) => s.rows.slice(0, i).join(' ')

/** What each selected token is predicted from, without packing: "sequence:index" -> context and target. */
function unpacked(sequences: readonly Sequence[]): Map<string, string> {
  const all = new Map<string, string>()
  for (const [index, s] of sequences.entries())
    for (let i = 1; i < s.tokens.length; i++)
      if (isSelected(s, i)) all.set(`${index}:${i}`, `${pathOf(s, i)} -> ${s.tokens[i]}`)
  return all
}

function rowOf(batch: MicroBatch, row: number): string {
  const at = batch.positions.slice(row * 3, row * 3 + 3).join(',')
  const vision = batch.imageRows[row]!
  if (vision < 0) return `${batch.tokens[row]}@${at}`
  const image = batch.images.find((i) => vision >= i.start && vision < i.start + i.tokenCount)
  return `${batch.tokens[row]}${image?.ref.sha256}${vision - (image?.start ?? 0)}@${at}`
}

/** Rows that a row sees, in the order of its spans. */
function seen(batch: MicroBatch, row: number): number[] {
  const rows: number[] = []
  for (let p = batch.spanPointers[row]!; p < batch.spanPointers[row + 1]!; p++)
    for (let j = 0; j < batch.spanPairs[2 * p + 1]!; j++) rows.push(batch.spanPairs[2 * p]! + j)
  return rows
}

const contextOf = (batch: MicroBatch, row: number) =>
  seen(batch, row)
    .map((r) => rowOf(batch, r))
    .join(' ')

/** The same map as `unpacked`, read from the micro-batches; a token that is used twice throws. */
function repack(batches: readonly MicroBatch[]): Map<string, string> {
  const all = new Map<string, string>()
  for (const batch of batches)
    for (let u = 0; u < batch.uses.length; u += 3) {
      const [sequence, index, selection] = batch.uses.slice(u, u + 3) as [number, number, number]
      const name = `${sequence}:${index}`
      if (all.has(name)) throw new Error(`token ${name} is used twice`)
      const context = contextOf(batch, batch.selectionRows[selection]!)
      all.set(name, `${context} -> ${batch.selectionTargets[selection]}`)
    }
  return all
}

/** What one sequence needs of a micro-batch of its own. */
function needs(s: Sequence): PackCapacities {
  const rowCount = Math.max(0, s.tokens.length - 1)
  const pads = new Set(s.rows.filter((_, i) => s.tokens[i] === PAD).map((row) => row.split('@')[0]))
  const selections = s.rows.filter((_, i) => isSelected(s, i)).length
  return { tokens: rowCount, imageTokens: pads.size, selections, spans: rowCount }
}

const limits = Object.keys(endless) as (keyof PackCapacities)[]

/** Capacities that hold the largest sequence, with `slack` to spare, each limit its own. */
function atLeast(sequences: readonly Sequence[], slack: PackCapacities): PackCapacities {
  const own = sequences.map(needs)
  const of = (limit: keyof PackCapacities) => Math.max(...own.map((n) => n[limit])) + slack[limit]
  return { tokens: of('tokens'), imageTokens: of('imageTokens'), selections: of('selections'), spans: of('spans') }
}

const slack: fc.Arbitrary<PackCapacities> = fc.record({
  tokens: fc.oneof(fc.nat(12), fc.constant(1e6)),
  imageTokens: fc.oneof(fc.nat(4), fc.constant(1e6)),
  selections: fc.oneof(fc.nat(12), fc.constant(1e6)),
  spans: fc.oneof(fc.nat(20), fc.constant(1e6)),
})
const tight = fc.tuple(forest, slack).map(([sequences, room]) => ({ sequences, capacities: atLeast(sequences, room) }))
const pack = (sequences: readonly Sequence[], capacities: PackCapacities) =>
  planMicroBatches(sequences, PAD, processor, capacities)

describe('packing, whatever the sequences and capacities', () => {
  it('every selected token is used once, from exactly its own context, images and positions', () => {
    fc.assert(
      fc.property(tight, ({ sequences, capacities }) => {
        expect(repack(pack(sequences, capacities))).toEqual(unpacked(sequences))
      }),
    )
  })

  it('the micro-batches of tight capacities give together what one large batch gives', () => {
    fc.assert(
      fc.property(tight, ({ sequences, capacities }) => {
        const whole = pack(sequences, endless)
        expect(whole.length).toBe(sequences.some((s) => s.tokens.length > 1) ? 1 : 0)
        expect(repack(pack(sequences, capacities))).toEqual(repack(whole))
      }),
    )
  })

  it('stays within each limit, and refuses exactly when a sequence alone is beyond one', () => {
    fc.assert(
      fc.property(tight, fc.constantFrom(...limits), ({ sequences, capacities }, limit) => {
        for (const batch of pack(sequences, capacities)) {
          expect(batch.tokens.length).toBeLessThanOrEqual(capacities.tokens)
          expect(batch.imageTokenCount).toBeLessThanOrEqual(capacities.imageTokens)
          expect(batch.selectionRows.length).toBeLessThanOrEqual(capacities.selections)
          expect(batch.spanPairs.length / 2).toBeLessThanOrEqual(capacities.spans)
        }
        const largest = atLeast(sequences, { tokens: 0, imageTokens: 0, selections: 0, spans: 0 })[limit]
        if (largest > 0)
          expect(() => pack(sequences, { ...capacities, [limit]: largest - 1 })).toThrow(/must fit in a micro-batch/)
      }),
    )
  })

  it('computes what is shared once: a micro-batch holds each context, selection and image one time, and no other', () => {
    fc.assert(
      fc.property(tight, ({ sequences, capacities }) => {
        const trie = new Set(sequences.flatMap((s) => s.rows.slice(1).map((_, i) => pathOf(s, i + 1))))
        for (const batch of pack(sequences, capacities)) {
          const contexts = batch.tokens.map((_, row) => contextOf(batch, row))
          expect(new Set(contexts).size).toBe(contexts.length)
          expect(contexts.filter((context) => !trie.has(context))).toEqual([])
          const pairs = batch.selectionRows.map((row, i) => `${row} ${batch.selectionTargets[i]}`)
          expect(new Set(pairs).size).toBe(pairs.length)
        }
        const whole = pack(sequences, endless)[0]
        expect(whole?.tokens.length ?? 0).toBe(trie.size)
      }),
    )
  })

  it('images lie side by side without gaps, each once, and every vision row belongs to pads of its picture', () => {
    fc.assert(
      fc.property(tight, ({ sequences, capacities }) => {
        for (const batch of pack(sequences, capacities)) {
          let next = 0
          for (const image of batch.images) {
            const picture = pictures.find((p) => p.sha256 === image.ref.sha256)!
            expect([image.start, image.gh, image.gw, image.tokenCount]).toEqual([
              next,
              picture.down * 2,
              picture.across * 2,
              picture.down * picture.across,
            ])
            next += image.tokenCount
          }
          expect(batch.imageTokenCount).toBe(next)
          expect(new Set(batch.images.map((i) => i.ref.sha256)).size).toBe(batch.images.length)
          const used = new Set(batch.imageRows.filter((r) => r >= 0))
          expect(used).toEqual(new Set(Array.from({ length: next }, (_, i) => i)))
          expect(batch.imageRows.map((r) => r >= 0)).toEqual(batch.tokens.map((id) => id === PAD))
        }
      }),
    )
  })

  it('spans are causal, ascending and merged, and the query ranges are their transpose', () => {
    fc.assert(
      fc.property(tight, ({ sequences, capacities }) => {
        for (const batch of pack(sequences, capacities)) {
          const keys = batch.tokens.map((_, key) => key)
          for (const row of keys) {
            let end = -1
            for (let p = batch.spanPointers[row]!; p < batch.spanPointers[row + 1]!; p++) {
              // a gap before each span: two that touch would be one
              expect(batch.spanPairs[2 * p]!).toBeGreaterThan(end)
              end = batch.spanPairs[2 * p]! + batch.spanPairs[2 * p + 1]!
            }
            expect(end).toBe(row + 1)
            expect(seen(batch, row)).toEqual(keys.filter((key) => row >= key && row < batch.queryEnds[key]!))
          }
        }
      }),
    )
  })
})
