// Log-probability and entropy by vocabulary tiles. Chunk: 16 rows. Lanes are the tile's columns modulo 4; a last block of fewer than four repeats
// the last column with weight 0.
import { at, exp1, exp4, laneSum, madd, pointer, word, wordFloat } from "../../../assembly/math";

/** Columns i..i+3 of a row, or what there is of them, the last one repeated. */
// @ts-ignore: decorator
@inline function rest(z: usize, i: i32, columns: i32): v128 {
  const last = columns - 1;
  return f32x4(load<f32>(at(z, i)), load<f32>(at(z, min(i + 1, last))), load<f32>(at(z, min(i + 2, last))), load<f32>(at(z, min(i + 3, last))));
}
// @ts-ignore: decorator
@inline function firstLanes(count: i32): v128 { return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count)); }

function largest(z: usize, columns: i32, inverse: v128): f32 {
  let peak = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= columns; i += 4) peak = f32x4.pmax(peak, f32x4.mul(v128.load(at(z, i)), inverse));
  if (i < columns) peak = f32x4.pmax(peak, f32x4.mul(rest(z, i, columns), inverse));
  return max(max(f32x4.extract_lane(peak, 0), f32x4.extract_lane(peak, 1)), max(f32x4.extract_lane(peak, 2), f32x4.extract_lane(peak, 3)));
}

export function logprobTile(job: usize, firstRow: i32, lastRow: i32): void {
  const width = word(job, 1), start = word(job, 2), first = word(job, 3), inverse = wordFloat(job, 5), inverse4 = f32x4.splat(inverse);
  const columns = min(width, word(job, 4) - start);
  for (let row = firstRow; row < lastRow; row++) {
    const z = at(pointer(job, 0), row * width), state = at(pointer(job, 2), row * 4), target = load<i32>(at(pointer(job, 1), row)) - start;
    let m: f32 = first ? -Infinity : load<f32>(state), s: f32 = first ? 0 : load<f32>(state, 4), t: f32 = first ? 0 : load<f32>(state, 8);
    let chosen: f32 = first ? 0 : load<f32>(state, 12);
    let peak = m;
    if (columns > 0) {
      peak = max<f32>(m, largest(z, columns, inverse4));
      const shrink: f32 = m == peak ? 1 : exp1(m - peak), peak4 = f32x4.splat(peak);
      let sums = f32x4.splat(0), products = f32x4.splat(0);
      let i = 0;
      for (; i + 4 <= columns; i += 4) {
        const x = f32x4.mul(v128.load(at(z, i)), inverse4), e = exp4(f32x4.sub(x, peak4));
        sums = f32x4.add(sums, e);
        products = madd(e, x, products);
      }
      if (i < columns) {
        const x = f32x4.mul(rest(z, i, columns), inverse4), e = v128.and(exp4(f32x4.sub(x, peak4)), firstLanes(columns - i));
        sums = f32x4.add(sums, e);
        products = madd(e, x, products);
      }
      s = s * shrink + laneSum(sums);
      t = t * shrink + laneSum(products);
      if (target >= 0 && target < columns) chosen = load<f32>(at(z, target)) * inverse;
    }
    store<f32>(state, peak);
    store<f32>(state, s, 4);
    store<f32>(state, t, 8);
    store<f32>(state, chosen, 12);
  }
}

export function logprobFinish(job: usize, first: i32, last: i32): void {
  for (let row = first; row < last; row++) {
    const state = at(pointer(job, 0), row * 4), out = at(pointer(job, 1), row * 4);
    const lse = load<f32>(state) + Mathf.log(load<f32>(state, 4));
    store<f32>(out, load<f32>(state, 12) - lse);
    store<f32>(out, lse - load<f32>(state, 8) / load<f32>(state, 4), 4);
    store<f32>(out, lse, 8);
    store<f32>(out, 0, 12);
  }
}

export function logprobBackTile(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), start = word(job, 2), inverse = wordFloat(job, 4), inverse4 = f32x4.splat(inverse);
  const columns = max(0, min(width, word(job, 3) - start));
  for (let row = first; row < last; row++) {
    const z = at(pointer(job, 0), row * width), target = load<i32>(at(pointer(job, 1), row)) - start, out = at(pointer(job, 2), row * 4);
    const dLogprob = load<f32>(at(pointer(job, 3), row * 2)), dEntropy = load<f32>(at(pointer(job, 3), row * 2 + 1));
    const entropy = f32x4.splat(load<f32>(out, 4)), lse = f32x4.splat(load<f32>(out, 8));
    // dz = inverse p (-dLogprob - dEntropy (log p + H)), plus inverse dLogprob at the target
    const a = f32x4.splat(-inverse * dLogprob), b = f32x4.splat(-inverse * dEntropy);
    const chosen: f32 = target >= 0 && target < columns ? inverse * dLogprob : 0;
    let i = 0;
    for (; i + 4 <= columns; i += 4) {
      const logp = f32x4.sub(f32x4.mul(v128.load(at(z, i)), inverse4), lse);
      v128.store(at(z, i), f32x4.mul(exp4(logp), madd(b, f32x4.add(logp, entropy), a)));
    }
    for (; i < columns; i++) {
      const logp = f32x4.sub(f32x4.mul(f32x4.splat(load<f32>(at(z, i))), inverse4), lse);
      store<f32>(at(z, i), f32x4.extract_lane(f32x4.mul(exp4(logp), madd(b, f32x4.add(logp, entropy), a)), 0));
    }
    for (; i < width; i++) store<f32>(at(z, i), 0);
    if (chosen != 0) store<f32>(at(z, target), load<f32>(at(z, target)) + chosen);
  }
}
