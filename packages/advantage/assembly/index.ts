/**
 * Group-relative advantages over flat arrays, in f64. Source: GRPO; AXPO's two streams, arXiv 2605.28774 Eq. 2-4.
 * Memory is laid out by the host (src/advantage.ts): every argument is a byte pointer or a scalar.
 *
 * Degenerate groups are decided by exact equality of rewards, never by a small standard deviation: their advantages are 0.
 */

@inline
function reward(rewards: usize, i: i32): f64 {
  return load<f64>(rewards + ((<usize>i) << 3))
}

/** Rewards of a group with the one at `replaced` read as `value` (replaced < 0: as they are). */
@inline
function rewardOr(rewards: usize, i: i32, replaced: i32, value: f64): f64 {
  return i == replaced ? value : reward(rewards, i)
}

/** Advantage of index `at` in the group [start, end) with one reward substituted. scale 1: divide by std + epsilon; 0: only centre. */
function normalised(rewards: usize, start: i32, end: i32, at: i32, replaced: i32, value: f64, ddof: i32, epsilon: f64, scale: i32): f64 {
  const count = end - start
  const first = rewardOr(rewards, start, replaced, value)
  let equal = true
  let sum: f64 = 0
  for (let i = start; i < end; i++) {
    const r = rewardOr(rewards, i, replaced, value)
    equal = equal && r == first
    sum += r
  }
  if (equal) return 0
  const mean = sum / <f64>count
  let squares: f64 = 0
  for (let i = start; i < end; i++) {
    const d = rewardOr(rewards, i, replaced, value) - mean
    squares += d * d
  }
  const centred = rewardOr(rewards, at, replaced, value) - mean
  return scale == 0 ? centred : centred / (Math.sqrt(squares / <f64>(count - ddof)) + epsilon)
}

/** Advantages of all groups: group g is rewards[offsets[g] .. offsets[g+1]). */
export function groupAdvantages(rewards: usize, offsets: usize, groups: i32, ddof: i32, epsilon: f64, scale: i32, out: usize): void {
  for (let g = 0; g < groups; g++) {
    const start = load<i32>(offsets + ((<usize>g) << 2))
    const end = load<i32>(offsets + ((<usize>(g + 1)) << 2))
    for (let i = start; i < end; i++) {
      store<f64>(out + ((<usize>i) << 3), normalised(rewards, start, end, i, -1, 0, ddof, epsilon, scale))
    }
  }
}

/**
 * AXPO's streams. Selected prefix p has its source at index sources[p] of `rewards`, in group sourceGroups[p], and its continuations' rewards at
 * resampled[resampledOffsets[p] .. resampledOffsets[p+1]).
 * continuationOut: Eq. 2, inside the continuations of one prefix. prefixOut: Eq. 4, substitutes[p] (the recovery reward) in the source's place, on the
 * prefix's own copy of the original rewards.
 */
export function axpoAdvantages(
  rewards: usize, offsets: usize, sources: usize, sourceGroups: usize, prefixes: i32,
  resampled: usize, resampledOffsets: usize, ddof: i32, epsilon: f64, scale: i32,
  continuationOut: usize, substitutes: usize, prefixOut: usize,
): void {
  for (let p = 0; p < prefixes; p++) {
    const from = load<i32>(resampledOffsets + ((<usize>p) << 2))
    const to = load<i32>(resampledOffsets + ((<usize>(p + 1)) << 2))
    for (let k = from; k < to; k++) {
      store<f64>(continuationOut + ((<usize>k) << 3), normalised(resampled, from, to, k, -1, 0, ddof, epsilon, scale))
    }
    const source = load<i32>(sources + ((<usize>p) << 2))
    const g = load<i32>(sourceGroups + ((<usize>p) << 2))
    const start = load<i32>(offsets + ((<usize>g) << 2))
    const end = load<i32>(offsets + ((<usize>(g + 1)) << 2))
    const substitute = load<f64>(substitutes + ((<usize>p) << 3))
    store<f64>(prefixOut + ((<usize>p) << 3), normalised(rewards, start, end, source, source, substitute, ddof, epsilon, scale))
  }
}
