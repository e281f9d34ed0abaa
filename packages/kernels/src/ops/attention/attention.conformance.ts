/** Cases of attention: heads that share keys, channels that fill no vector, spans in pieces, rows that see nothing. */
import { type ConformanceCase, listTable } from '../../conformance.ts'
import { attentionReference } from './attention.reference.ts'
import { attention } from './attention.ts'

/** Rows before `blind` see nothing, the others all rows up to themselves; in two pieces from the third row on. */
function pieces(T: number, blind: number): number[][] {
  return Array.from({ length: T }, (_, row) => {
    if (row < blind) return []
    return row < 2 ? [0, row + 1] : [0, 1, 1, row]
  })
}

function attentionCase(heads: number, kvHeads: number, channels: number, most = 0): ConformanceCase {
  const blindOf = (T: number) => Math.min(most, Math.max(0, T - 1))
  const shape = { heads, kvHeads, channels, scale: channels ** -0.5 }
  return {
    name: `attention ${heads}/${kvHeads}x${channels}${most > 0 ? `, ${most} rows that see nothing` : ''}`,
    activations: [heads * channels, kvHeads * channels, kvHeads * channels],
    parameters: [],
    tables: (T, capacity) => ({
      spans: listTable(pieces(T, blindOf(T)), capacity, 4 * capacity, 2),
      queries: {
        data: Int32Array.from(Array.from({ length: T }, (_, key) => [Math.max(key, blindOf(T)), T]).flat()),
        columns: 2,
      },
    }),
    build: (g, [q, k, v], t) => attention(g, { q: q!, k: k!, v: v!, spans: t.spans!, queries: t.queries!, ...shape }),
    reference: (T) => {
      const blind = blindOf(T)
      const visible = Array.from({ length: T }, (_, row) => (row < blind ? [] : [...Array(row + 1).keys()]))
      return ([q, k, v]) => attentionReference(q!, k!, v!, visible, shape)
    },
  }
}

export const cases: readonly ConformanceCase[] = [
  attentionCase(4, 1, 8),
  attentionCase(6, 2, 5),
  attentionCase(1, 1, 1),
  attentionCase(3, 3, 19),
  attentionCase(4, 2, 4, 2),
]
