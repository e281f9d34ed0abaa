/**
 * Sampling on the device: score = z * invTemperature + noise * Gumbel, largest wins (lowest id on a tie). Philox4x32-10 with key = (seed, step),
 * counter = (question, sample, position, id >> 2), lane id & 3; u = ((x >>> 8) + 0.5) * 2^-24; Gumbel = -log(-log u).
 */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, int, kernel, type OpDefinition, rowsWord } from '../definition.ts'
import { logprobFinish, logprobTile } from '../logprob/logprob.ts'
import { emitLogits, headTiles, inverseTemperature, tileWords } from '../logprob/tiles.ts'

export const sampleTile = kernel(
  import.meta.url,
  'sample_tile',
  'logits keys +best +ids',
  'rows tileWidth tileStart first vocab invTemperature:f noise:f',
  (w) => flatWorkgroups(w.rows!, 1),
  { chunk: { items: 4 } },
)

const sampleOp: OpDefinition = {
  name: 'sample',
  kernels: [sampleTile],
  forward(
    {
      inputs: [hidden, keys, ...tiles],
      outputs: [ids, out, best, state, logits],
      attributes: { vocab, invTemperature, noise: scale },
    },
    emit,
  ) {
    const inverse = inverseTemperature(invTemperature!)
    const noise = inverseTemperature(scale!)
    let start = 0
    for (const tile of tiles) {
      emitLogits(emit, hidden!, tile, logits!)
      const words = {
        ...tileWords(hidden!, tile, start, Number(vocab)),
        first: int(start === 0 ? 1 : 0),
        invTemperature: inverse,
      }
      emit(sampleTile, { logits: logits!, keys: keys!, best: best!, ids: ids! }, { ...words, noise })
      // the id may change in a later tile, and then the z of the chosen one with it
      emit(logprobTile, { logits: logits!, targets: ids!, state: state! }, words)
      start += tile.rows.count
    }
    emit(logprobFinish, { state: state!, out: out! }, { rows: rowsWord(hidden!.rows) })
  },
}

export interface SampleOptions {
  readonly hidden: Tensor
  readonly head: Tensor
  /** i32 [T, 8]: seed, step, question, sample, position, 0, 0, 0. The sampled id depends only on these and the logits. */
  readonly keys: Tensor
  readonly vocab: number
  readonly tileWidth: number
  /** Inverse temperature of both the choice and the reported log-probability; a number or the name of a live word. */
  readonly invTemperature: number | string
  /** 1 samples, 0 takes the largest logit; a number or the name of a live word. */
  readonly noise: number | string
}

/** ids i32 [T, 1] chosen by Gumbel-max, and out[T, 4] as of logprob(): log-probability, entropy, logsumexp, 0. Both host tensors. */
export function sample(g: Graph, options: SampleOptions): { readonly ids: Tensor; readonly out: Tensor } {
  const { hidden, head, keys, vocab, tileWidth, invTemperature, noise } = options
  if (vocab > head.rows.count)
    throw new Error(`sample: vocab ${vocab} is larger than the head, ${head.rows.count} rows.`)
  const width = Math.min(tileWidth, head.rows.count)
  const ids = g.host('sample.ids', hidden.rows, 1, 'i32')
  const out = g.host('sample.out', hidden.rows, 4)
  const best = g.activation('sample.best', hidden.rows, 1)
  const state = g.activation('sample.state', hidden.rows, 4)
  const logits = g.activation('sample.logits', hidden.rows, width)
  g.append(sampleOp, [hidden, keys, ...headTiles(g, head, width)], [ids, out, best, state, logits], {
    vocab,
    invTemperature,
    noise,
  })
  return { ids, out }
}
