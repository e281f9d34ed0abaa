/** Cases of logprob: one tile and several, the last one ragged, head rows beyond the vocabulary. */
import type { ConformanceCase } from '../../conformance.ts'
import { logprobReference } from './logprob.reference.ts'
import { logprob } from './logprob.ts'

/** Head rows beyond the vocabulary are padding. */
function logprobCase(width: number, rows: number, vocab: number, tileWidth: number): ConformanceCase {
  const targets = (T: number) => Int32Array.from({ length: T }, (_, row) => (row * 11) % vocab)
  return {
    name: `logprob of ${vocab} in tiles of ${tileWidth}`,
    activations: [width],
    parameters: [[rows, width]],
    tables: (T) => ({ targets: { data: targets(T), columns: 1 } }),
    build: (g, [hidden, head], t, dout) =>
      logprob(g, {
        hidden: hidden!,
        head: head!,
        targets: t.targets!,
        dout: dout!,
        vocab,
        tileWidth,
        invTemperature: 0.8,
      }),
    reference:
      (T) =>
      ([hidden, head]) =>
        logprobReference(hidden!, head!, targets(T), width, vocab, 0.8),
    columns: 2,
    seeded: true,
  }
}

export const cases: readonly ConformanceCase[] = [
  logprobCase(16, 45, 41, 16),
  logprobCase(7, 131, 131, 512),
  logprobCase(3, 48, 31, 16),
]
