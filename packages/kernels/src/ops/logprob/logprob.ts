/**
 * Log-probability and entropy of targets, one vocabulary tile at a time: neither the softmax nor all the logits are ever stored.
 * state[T, 4] = running max m, sum e^{z-m}, sum e^{z-m} z, z of the target, with z = logit * invTemperature. Columns >= vocab are ignored.
 */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, int, kernel, type OpDefinition, rowsWord, type WordView } from '../definition.ts'
import { gemm, gemmMode } from '../gemm/gemm.ts'
import { emitLogits, headTiles, inverseTemperature, tileWords } from './tiles.ts'

const rowGroups = (w: WordView) => flatWorkgroups(w.rows!, 1)
export const logprobTile = kernel(
  import.meta.url,
  'logprob_tile',
  'logits targets +state',
  'rows tileWidth tileStart first vocab invTemperature:f',
  rowGroups,
)
export const logprobFinish = kernel(import.meta.url, 'logprob_finish', 'state +out', 'rows', (w) =>
  flatWorkgroups(w.rows!, 64),
)
export const logprobBackTile = kernel(
  import.meta.url,
  'logprob_back_tile',
  '+logits targets out dout',
  'rows tileWidth tileStart vocab invTemperature:f',
  (w) => flatWorkgroups(w.rows! * w.tileWidth!, 64),
)

const logprobOp: OpDefinition = {
  name: 'logprob',
  kernels: [logprobTile, logprobFinish, logprobBackTile],
  forward(
    {
      inputs: [hidden, targets, dout, ...rest],
      outputs: [out, state, logits],
      attributes: { seeded, vocab, invTemperature },
    },
    emit,
  ) {
    const tiles = seeded ? rest : [dout!, ...rest]
    let start = 0
    for (const tile of tiles) {
      emitLogits(emit, hidden!, tile, logits!)
      const words = {
        ...tileWords(hidden!, tile, start, Number(vocab)),
        first: int(start === 0 ? 1 : 0),
        invTemperature: inverseTemperature(invTemperature!),
      }
      emit(logprobTile, { logits: logits!, targets: targets!, state: state! }, words)
      start += tile.rows.count
    }
    emit(logprobFinish, { state: state!, out: out! }, { rows: rowsWord(hidden!.rows) })
  },
  seeds: ({ inputs, outputs, attributes }) => (attributes.seeded ? [[outputs[0]!, inputs[2]!]] : []),
  backward(
    { inputs: [hidden, targets, , ...tiles], outputs: [out], attributes: { seeded, tileWidth, vocab, invTemperature } },
    context,
  ) {
    const dout = context.outputGradient(out!)
    if (!dout) return
    if (!seeded) throw new Error('logprob: a gradient enters only through dout. Pass dout [rows, 2] to logprob().')
    const logits = context.scratch('logprob.dlogits', hidden!.rows, Number(tileWidth))
    let start = 0
    for (const tile of tiles) {
      emitLogits(context.emit, hidden!, tile, logits)
      const words = {
        ...tileWords(hidden!, tile, start, Number(vocab)),
        invTemperature: inverseTemperature(invTemperature!),
      }
      context.emit(logprobBackTile, { logits, targets: targets!, out: out!, dout }, words)
      const dx = context.inputGradient(hidden!)
      const width = int(tile.rows.count)
      const rows = rowsWord(hidden!.rows)
      if (dx)
        context.emit(
          gemm,
          { a: logits, b: tile, c: dx.tensor },
          { M: rows, N: int(hidden!.width), K: width, mode: int(gemmMode.nn), acc: int(dx.acc) },
        )
      const dw = context.inputGradient(tile)
      if (dw)
        context.emit(
          gemm,
          { a: logits, b: hidden!, c: dw.tensor },
          { M: width, N: int(hidden!.width), K: rows, mode: int(gemmMode.tn), acc: int(dw.acc) },
        )
      start += tile.rows.count
    }
  },
}

export interface LogprobOptions {
  /** [T, width]: the rows to score. */
  readonly hidden: Tensor
  /** Persistent [vocabulary rows, width]; may have padding rows beyond `vocab`. */
  readonly head: Tensor
  /** i32 [T, 1]. */
  readonly targets: Tensor
  /** Host f32 [T, 2]: gradient of (log-probability, entropy); makes this op the start of the backward pass. */
  readonly dout?: Tensor
  readonly vocab: number
  readonly tileWidth: number
  /** Inverse temperature: a number, or the name of a live word. */
  readonly invTemperature: number | string
}

/** out[T, 4] = log-probability of the target, entropy, logsumexp, 0 (nats, of logits * invTemperature); a host tensor. */
export function logprob(g: Graph, options: LogprobOptions): Tensor {
  const { hidden, head, targets, dout, vocab, tileWidth, invTemperature } = options
  if (vocab > head.rows.count)
    throw new Error(`logprob: vocab ${vocab} is larger than the head, ${head.rows.count} rows.`)
  const width = Math.min(tileWidth, head.rows.count)
  const out = g.host('logprob', hidden.rows, 4)
  const state = g.activation('logprob.state', hidden.rows, 4)
  const logits = g.activation('logprob.logits', hidden.rows, width)
  const inputs = [hidden, targets, ...(dout ? [dout] : []), ...headTiles(g, head, width)]
  g.append(logprobOp, inputs, [out, state, logits], { seeded: dout ? 1 : 0, vocab, tileWidth: width, invTemperature })
  return out
}
