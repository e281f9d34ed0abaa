import { describe, expect, it } from 'vitest'
import { tinyProcessor as processor } from './model.fixture.ts'
import { type MicroBatch, planMicroBatches, type TrainSequence } from './pack.ts'

/** The image pad token. */
const PAD = 99

const large = { tokens: 1000, imageTokens: 64, selections: 1000, spans: 8000 }
const sequence = (...tokens: number[]): TrainSequence => ({ tokens: Int32Array.from(tokens), images: [] })

/** Tokens that row i sees, spelled out. */
function seen(batch: MicroBatch, row: number): number[] {
  const tokens: number[] = []
  for (let p = batch.spanPointers[row]!; p < batch.spanPointers[row + 1]!; p++)
    for (let j = 0; j < batch.spanPairs[2 * p + 1]!; j++) tokens.push(batch.tokens[batch.spanPairs[2 * p]! + j]!)
  return tokens
}

describe('pack', () => {
  const sequences = [sequence(1, 2, 3, 4, 5), sequence(1, 2, 9, 4), sequence(1, 2, 3, 4, 7, 8), sequence(1, 2, 3, 4, 5)]

  it('computes shared prefixes once and gives each row its own context', () => {
    const [batch, ...rest] = planMicroBatches(sequences, PAD, processor, large)
    expect(rest).toEqual([])
    expect(batch!.tokens).toEqual([1, 2, 3, 4, 7, 9])
    for (let u = 0; u < batch!.uses.length; u += 3) {
      const [index, position, selection] = batch!.uses.slice(u, u + 3) as [number, number, number]
      const { tokens } = sequences[index]!
      expect(seen(batch!, batch!.selectionRows[selection]!)).toEqual([...tokens.subarray(0, position)])
      expect(batch!.selectionTargets[selection]).toBe(tokens[position])
    }
    expect(batch!.uses.length / 3).toBe(4 + 3 + 5 + 4)
  })

  it('query ranges are the transpose of the spans', () => {
    const batch = planMicroBatches(sequences, PAD, processor, large)[0]!
    for (let j = 0; j < batch.tokens.length; j++)
      for (let i = 0; i < batch.tokens.length; i++) {
        let visible = false
        for (let p = batch.spanPointers[i]!; p < batch.spanPointers[i + 1]!; p++)
          visible ||= j >= batch.spanPairs[2 * p]! && j < batch.spanPairs[2 * p]! + batch.spanPairs[2 * p + 1]!
        expect(visible, `row ${i}, key ${j}`).toBe(i >= j && i < batch.queryEnds[j]!)
      }
  })

  it('splits by copying the prefix and says what does not fit', () => {
    const batches = planMicroBatches(sequences, PAD, processor, { ...large, tokens: 5 })
    expect(batches.map((b) => b.tokens)).toEqual([
      [1, 2, 3, 4, 7],
      [1, 2, 9],
    ])
    expect(() => planMicroBatches(sequences, PAD, processor, { ...large, tokens: 3 })).toThrow(
      /must fit in a micro-batch of 3 tokens/,
    )
  })

  it('shares an image by its hash and keeps others apart', () => {
    const image = { width: 16, height: 16, data: new Uint8Array(768) }
    const a = { sha256: 'a', image }
    const b = { sha256: 'b', image }
    const tokens = Int32Array.from([1, PAD, PAD, PAD, PAD, 2, 3])
    const batch = planMicroBatches(
      [
        { tokens, images: [a] },
        { tokens, images: [b] },
        { tokens, images: [a] },
      ],
      PAD,
      processor,
      large,
    )[0]!
    expect(batch.tokens.length).toBe(1 + 2 * 5)
    expect(batch.images.map((i) => [i.ref.sha256, i.start])).toEqual([
      ['b', 0],
      ['a', 4],
    ])
    expect(batch.imageRows.filter((r) => r >= 0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('takes only selected tokens', () => {
    const batch = planMicroBatches(
      [{ ...sequence(1, 2, 3), selected: Uint8Array.of(0, 0, 1) }],
      PAD,
      processor,
      large,
    )[0]!
    expect([batch.selectionRows, batch.selectionTargets]).toEqual([[1], [3]])
  })
})
