/** A vocabulary in tiles: what logprob and sample emit for each. No op of its own. */
import type { Graph, Tensor } from '../../graph.ts'
import { type Emit, float, int, rowsWord, type Word } from '../definition.ts'
import { gemm, gemmMode } from '../gemm/gemm.ts'

/** A run-time word cannot be an attribute: its name is kept behind this mark. */
export function inverseTemperature(value: number | string): Word {
  return typeof value === 'string' ? { live: value } : float(value)
}

/** One tile of logits[T, tile] = hidden[T, K] · head[tile, K]^T. */
export function emitLogits(emit: Emit, hidden: Tensor, tile: Tensor, logits: Tensor): void {
  emit(
    gemm,
    { a: hidden, b: tile, c: logits },
    { M: rowsWord(hidden.rows), N: int(tile.rows.count), K: int(hidden.width), mode: int(gemmMode.nt), acc: int(0) },
  )
}

/** The head cut into tiles of rows; the last may be shorter. */
export function headTiles(g: Graph, head: Tensor, tileWidth: number): Tensor[] {
  const tiles: Tensor[] = []
  for (let first = 0; first < head.rows.count; first += tileWidth)
    tiles.push(g.slice(head, first, Math.min(tileWidth, head.rows.count - first)))
  return tiles
}

export function tileWords(hidden: Tensor, tile: Tensor, tileStart: number, vocab: number) {
  return { rows: rowsWord(hidden.rows), tileWidth: int(tile.rows.count), tileStart: int(tileStart), vocab: int(vocab) }
}
