/** Cases of sample: ids and log-probabilities with and without noise, and the one draw whose noise would be infinite. */
import { type ConformanceCase, randomValues } from '../../conformance.ts'
import type { Executor } from '../../executor.ts'
import { Graph } from '../../graph.ts'
import { planGraph } from '../../plan.ts'
import { sampleReference } from './sample.reference.ts'
import { sample } from './sample.ts'

const WIDTH = 8
const HEAD_ROWS = 48

async function sampled(
  executor: Executor,
  region: string,
  hidden: Float32Array,
  head: Float32Array,
  keys: Int32Array,
  vocab: number,
  noise: number,
) {
  const T = keys.length / 8
  const g = new Graph({ T: T + 3 })
  executor.allocate(region, HEAD_ROWS * WIDTH)
  executor.writeRegion(region, 0, head)
  const [x, k] = [g.host('hidden', g.symbol('T'), WIDTH), g.host('keys', g.symbol('T'), 8, 'i32')]
  const weight = g.persistent('head', region, 0, HEAD_ROWS, WIDTH)
  const { ids, out } = sample(g, {
    hidden: x,
    head: weight,
    keys: k,
    vocab,
    tileWidth: 16,
    invTemperature: 1,
    noise: 'noise',
  })
  const loaded = executor.load(planGraph(g))
  loaded.write(x, hidden)
  loaded.write(k, keys)
  await loaded.run('forward', { T, noise })
  const [chosen, scores] = await Promise.all([loaded.read(ids, T), loaded.read(out, T)])
  loaded.free()
  return { ids: [...chosen], scores: [...scores] }
}

/** Logits that are `spread` times as far apart as usual: most tokens then have no chance, and kernels may pass them by. */
function sampleCase(name: string, noise: number, spread = 1): ConformanceCase {
  return {
    name,
    async run(executor, T, region, poison) {
      const vocab = 45
      const head = randomValues(HEAD_ROWS * WIDTH, 2).map((value) => value * spread)
      const hidden = randomValues(T * WIDTH, 4)
      const keys = Int32Array.from({ length: T * 8 }, (_, i) => (i % 8 < 5 ? i * 31 - 700 : 0))
      if (poison) hidden[0] = Number.NaN
      const { ids, scores } = await sampled(executor, region('head'), hidden, head, keys, vocab, noise)
      const [got, want]: [number[], number[]] = [[], []]
      for (let row = 0; row < T; row++) {
        const x = hidden.subarray(row * WIDTH, (row + 1) * WIDTH)
        const logits = Array.from({ length: vocab }, (_, n) =>
          x.reduce((sum, v, i) => sum + v * head[n * WIDTH + i]!, 0),
        )
        const { id, logprob, lse } = sampleReference(logits, [...keys.subarray(row * 8, row * 8 + 5)], noise)
        // which id a row of NaN gets is nobody's: its log-probability tells
        got.push(...(poison ? [] : [ids[row]!]), scores[row * 4]!, scores[row * 4 + 2]!)
        want.push(...(poison ? [] : [id]), logprob, lse)
      }
      return { got, want }
    },
  }
}

/** Under this key id 0 draws 24 ones: u would round to 1 and its noise be infinite. It is 16.64, the largest there is. */
const LARGEST_DRAW = [1, 2, 3, 5, 7_704_341, 0, 0, 0]

const largestDraw: ConformanceCase = {
  name: 'sample: the largest draw is finite',
  async run(executor, T, region, poison) {
    const rows = Math.min(T, 2)
    const head = new Float32Array(HEAD_ROWS * WIDTH)
    for (let n = 0; n < 4; n++) head[n * WIDTH] = n === 0 ? 1 : 0
    const hidden = new Float32Array(rows * WIDTH)
    // id 0 lies 40 below the others, then level with them
    if (rows > 0) hidden[0] = poison ? Number.NaN : -40
    const keys = Int32Array.from({ length: rows * 8 }, (_, i) => LARGEST_DRAW[i % 8]!)
    const { ids, scores } = await sampled(executor, region('head'), hidden, head, keys, 4, 1)
    if (poison) return { got: [scores[0]!], want: [Number.NaN] }
    const want = Array.from(
      { length: rows },
      (_, row) => sampleReference([hidden[row * WIDTH]!, 0, 0, 0], LARGEST_DRAW, 1).id,
    )
    if (rows > 0 && (want[0] === 0 || (rows > 1 && want[1] !== 0)))
      throw new Error('conformance: this draw is not the largest.')
    return { got: ids, want }
  },
}

export const cases: readonly ConformanceCase[] = [
  sampleCase('sample by Gumbel-max over tiles', 1),
  sampleCase('sample where few tokens have a chance', 1, 8),
  sampleCase('sample the largest logit', 0),
  largestDraw,
]
