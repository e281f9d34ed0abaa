/** f64 reference of sampling: Philox4x32-10 (Salmon et al. 2011) and Gumbel-max. */

/** The four 32-bit words of the block at `counter` under `key`. */
export function philoxReference(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map((x) => BigInt(x >>> 0)) as [bigint, bigint, bigint, bigint]
  let [k0, k1] = key.map((x) => BigInt(x >>> 0)) as [bigint, bigint]
  const mask = 0xffffffffn
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2]
    ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

/** The largest f32 below 1: what the one draw counts as that would round to 1. */
const MOST = 1 - 2 ** -24

/** Chosen id and its log-probability. `key` = seed, step, question, sample, position. */
export function sampleReference(
  logits: readonly number[],
  key: readonly number[],
  noise: number,
): { readonly id: number; readonly logprob: number; readonly lse: number } {
  const [seed, step, question, sample, position] = key as [number, number, number, number, number]
  let [id, best] = [0, Number.NEGATIVE_INFINITY]
  for (const [n, z] of logits.entries()) {
    const bits = noise === 0 ? 0 : philoxReference([question, sample, position, n >> 2], [seed, step])[n & 3]!
    const u = Math.min(((bits >>> 8) + 0.5) * 2 ** -24, MOST)
    const score = noise === 0 ? z : z + noise * -Math.log(-Math.log(u))
    if (score > best) [id, best] = [n, score]
  }
  const peak = Math.max(...logits)
  const lse = peak + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - peak), 0))
  return { id, logprob: logits[id]! - lse, lse }
}
