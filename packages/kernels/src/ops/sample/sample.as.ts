// Gumbel-max by vocabulary tiles; Philox4x32-10 (Salmon et al. 2011). Chunk: 4 rows. Four counters (16 tokens) at a time.
import { at, log4, pointer, word, wordFloat } from "../../../assembly/math";

/** Lane `lane` of the block at (c0, c1, c2, c3) under key (k0, k1). */
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32, lane: i32): u32 {
  philox4(c0, c1, c2, i32x4.splat(c3), k0, k1);
  return i32x4.extract_lane(lane == 0 ? word0 : lane == 1 ? word1 : lane == 2 ? word2 : word3, 0);
}

let word0 = i32x4.splat(0), word1 = i32x4.splat(0), word2 = i32x4.splat(0), word3 = i32x4.splat(0);

/** The blocks at (c0, c1, c2, each lane of last): their four words in word0..word3. */
// @ts-ignore: decorator
@inline function philox4(c0: u32, c1: u32, c2: u32, last: v128, key0: u32, key1: u32): void {
  let a = i32x4.splat(c0), b = i32x4.splat(c1), c = i32x4.splat(c2), d = last, k0 = key0, k1 = key1;
  const m0 = i32x4.splat(0xD2511F53), m1 = i32x4.splat(0xCD9E8D57);
  for (let round = 0; round < 10; round++) {
    const a0 = i64x2.extmul_low_i32x4_u(a, m0), a1 = i64x2.extmul_high_i32x4_u(a, m0);
    const c0 = i64x2.extmul_low_i32x4_u(c, m1), c1 = i64x2.extmul_high_i32x4_u(c, m1);
    a = v128.xor(v128.xor(v128.shuffle<i32>(c0, c1, 1, 3, 5, 7), b), i32x4.splat(k0));
    c = v128.xor(v128.xor(v128.shuffle<i32>(a0, a1, 1, 3, 5, 7), d), i32x4.splat(k1));
    b = v128.shuffle<i32>(c0, c1, 0, 2, 4, 6);
    d = v128.shuffle<i32>(a0, a1, 0, 2, 4, 6);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  word0 = a; word1 = b; word2 = c; word3 = d;
}

/** -log(-log u) of 32 random bits. u is at most 1 - 2^-24: the formula's last value would round to 1, whose noise is infinite. */
// @ts-ignore: decorator
@inline function gumbel(x: v128): v128 {
  const u = f32x4.mul(f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_u(x, 8)), f32x4.splat(0.5)), f32x4.splat(5.9604644775390625e-8));
  return f32x4.neg(log4(f32x4.neg(log4(f32x4.pmin(u, f32x4.splat(0.99999994))))));
}

let best: f32 = 0, bestId: i32 = 0;

/** Scores of the tokens at `token`..+3, of which those in [0, columns) of the tile count. */
// @ts-ignore: decorator
@inline function consider(z: usize, i: i32, columns: i32, start: i32, inverse: v128, noise: v128): void {
  if (i >= 0 && i + 4 <= columns) {
    const score = f32x4.add(f32x4.mul(v128.load(at(z, i)), inverse), noise);
    if (!v128.any_true(f32x4.gt(score, f32x4.splat(best)))) return;
    if (f32x4.extract_lane(score, 0) > best) { best = f32x4.extract_lane(score, 0); bestId = start + i; }
    if (f32x4.extract_lane(score, 1) > best) { best = f32x4.extract_lane(score, 1); bestId = start + i + 1; }
    if (f32x4.extract_lane(score, 2) > best) { best = f32x4.extract_lane(score, 2); bestId = start + i + 2; }
    if (f32x4.extract_lane(score, 3) > best) { best = f32x4.extract_lane(score, 3); bestId = start + i + 3; }
    return;
  }
  let shifted = noise;
  for (let lane = 0; lane < 4; lane++) {
    if (i + lane >= 0 && i + lane < columns) {
      const score = load<f32>(at(z, i + lane)) * f32x4.extract_lane(inverse, 0) + f32x4.extract_lane(shifted, 0);
      if (score > best) { best = score; bestId = start + i + lane; }
    }
    shifted = v128.shuffle<i32>(shifted, shifted, 1, 2, 3, 0);
  }
}

export function sampleTile(job: usize, firstRow: i32, lastRow: i32): void {
  const width = word(job, 1), start = word(job, 2), inverse = f32x4.splat(wordFloat(job, 5)), noise = wordFloat(job, 6), noise4 = f32x4.splat(noise);
  const columns = min(width, word(job, 4) - start);
  for (let row = firstRow; row < lastRow; row++) {
    const z = at(pointer(job, 0), row * width), keys = at(pointer(job, 1), row * 8);
    best = word(job, 3) ? -Infinity : load<f32>(at(pointer(job, 2), row));
    bestId = word(job, 3) ? 0 : load<i32>(at(pointer(job, 3), row));
    if (noise == 0) for (let i = 0; i < columns; i += 4) consider(z, i, columns, start, inverse, f32x4.splat(0));
    else for (let block = start >> 2; block * 4 < start + columns; block += 4) {
      philox4(load<u32>(keys, 8), load<u32>(keys, 12), load<u32>(keys, 16), i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3)), load<u32>(keys), load<u32>(keys, 4));
      const g0 = f32x4.mul(noise4, gumbel(word0)), g1 = f32x4.mul(noise4, gumbel(word1)), g2 = f32x4.mul(noise4, gumbel(word2)), g3 = f32x4.mul(noise4, gumbel(word3));
      const t0 = v128.shuffle<f32>(g0, g1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(g0, g1, 2, 6, 3, 7);
      const t2 = v128.shuffle<f32>(g2, g3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(g2, g3, 2, 6, 3, 7);
      const i = block * 4 - start;
      consider(z, i, columns, start, inverse, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
      consider(z, i + 4, columns, start, inverse, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
      consider(z, i + 8, columns, start, inverse, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
      consider(z, i + 12, columns, start, inverse, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
    }
    store<f32>(at(pointer(job, 2), row), best);
    store<i32>(at(pointer(job, 3), row), bestId);
  }
}
