// Gumbel-max by vocabulary tiles; Philox4x32-10 (Salmon et al. 2011). Chunk: 4 rows. Four counters (16 tokens) at a time.
import { at, log4, pointer, word, wordFloat } from "../../../assembly/math";

/** Lane `lane` of the block at (c0, c1, c2, c3) under key (k0, k1). */
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32, lane: i32): u32 {
  beginPhilox(c0, c1, c2, k0, k1);
  philox4(i32x4.splat(c3), k0, k1);
  return i32x4.extract_lane(lane == 0 ? word0 : lane == 1 ? word1 : lane == 2 ? word2 : word3, 0);
}

const M0: u32 = 0xD2511F53, M1: u32 = 0xCD9E8D57, W0: u32 = 0x9E3779B9, W1: u32 = 0xBB67AE85;
/** From memory: V8 would build vector constants anew in every round. */
const MULTIPLIERS = memory.data<u32>([0xD2511F53, 0xCD9E8D57]);

let mix1: u32 = 0, mix2: u32 = 0, mix3: u32 = 0, mixed3: u32 = 0, low3: u32 = 0;
let word0 = i32x4.splat(0), word1 = i32x4.splat(0), word2 = i32x4.splat(0), word3 = i32x4.splat(0);

/** What the first three rounds make of (c0, c1, c2) and the key alone: philox4 goes on with any last counter. */
function beginPhilox(c0: u32, c1: u32, c2: u32, k0: u32, k1: u32): void {
  const a1 = <u64>c0 * M0, c = <u64>c2 * M1;
  mix1 = <u32>(a1 >> 32) ^ k1;
  const a2 = <u64>(<u32>(c >> 32) ^ c1 ^ k0) * M0;
  mix2 = <u32>c ^ (k0 + W0);
  const c3 = <u64>(<u32>(a2 >> 32) ^ <u32>a1 ^ (k1 + W1)) * M1;
  mix3 = <u32>(c3 >> 32) ^ (k0 + W0 * 2);
  mixed3 = <u32>a2 ^ (k1 + W1 * 2);
  low3 = <u32>c3;
}

/** The blocks at (c0, c1, c2, each lane of last): their four words in word0..word3. */
// @ts-ignore: decorator
@inline function philox4(last: v128, key0: u32, key1: u32): void {
  const m0 = v128.load32_splat(MULTIPLIERS), m1 = v128.load32_splat(MULTIPLIERS, 4);
  // rounds 1 to 3: what varies
  const x = v128.xor(last, i32x4.splat(mix1));
  const x0 = i64x2.extmul_low_i32x4_u(x, m1), x1 = i64x2.extmul_high_i32x4_u(x, m1);
  const y = v128.xor(v128.shuffle<i32>(x0, x1, 1, 3, 5, 7), i32x4.splat(mix2));
  const y0 = i64x2.extmul_low_i32x4_u(y, m0), y1 = i64x2.extmul_high_i32x4_u(y, m0);
  let a = v128.xor(v128.shuffle<i32>(x0, x1, 0, 2, 4, 6), i32x4.splat(mix3)), b = i32x4.splat(low3);
  let c = v128.xor(v128.shuffle<i32>(y0, y1, 1, 3, 5, 7), i32x4.splat(mixed3)), d = v128.shuffle<i32>(y0, y1, 0, 2, 4, 6);
  let k0 = key0 + W0 * 3, k1 = key1 + W1 * 3;
  for (let round = 3; round < 10; round++) {
    const a0 = i64x2.extmul_low_i32x4_u(a, m0), a1 = i64x2.extmul_high_i32x4_u(a, m0);
    const c0 = i64x2.extmul_low_i32x4_u(c, m1), c1 = i64x2.extmul_high_i32x4_u(c, m1);
    a = v128.xor(v128.xor(v128.shuffle<i32>(c0, c1, 1, 3, 5, 7), b), i32x4.splat(k0));
    c = v128.xor(v128.xor(v128.shuffle<i32>(a0, a1, 1, 3, 5, 7), d), i32x4.splat(k1));
    b = v128.shuffle<i32>(c0, c1, 0, 2, 4, 6);
    d = v128.shuffle<i32>(a0, a1, 0, 2, 4, 6);
    k0 += W0;
    k1 += W1;
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

/** Largest of the 16 scores without noise at `i`..+15, all in the tile. */
// @ts-ignore: decorator
@inline function largest16(z: usize, i: i32, inverse: v128): f32 {
  const base = at(z, i);
  const low = f32x4.pmax(f32x4.mul(v128.load(base), inverse), f32x4.mul(v128.load(base, 16), inverse));
  const high = f32x4.pmax(f32x4.mul(v128.load(base, 32), inverse), f32x4.mul(v128.load(base, 48), inverse));
  const four = f32x4.pmax(low, high), two = f32x4.pmax(four, v128.shuffle<i32>(four, four, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(two, v128.shuffle<i32>(two, two, 1, 0, 3, 2)), 0);
}

/** Most that gumbel() gives is 16.64. */
const MOST: f32 = 16.7;

/**
 * Draws below this (of 2^24) give no score above `to` to one that is at most `top` without noise; more than 2^24 when none does. A lower bound without
 * exponentials: noise above d needs u > exp(-exp(-d)) >= 1 - 2^-k for k <= d / ln 2. d is taken a little too low and the bound two draws, for what rounds.
 */
// @ts-ignore: decorator
@inline function leastDraw(top: f32, to: f32, noise: f32): i32 {
  const d = (to - top - <f32>1e-6 * (abs(to) + abs(top))) / noise - <f32>1e-3;
  if (!(d > 0)) return -1;
  if (d > MOST) return 0x2000000;
  return 0x1000000 - (0x1000000 >> <i32>(d * <f32>1.442695)) - 2;
}

/** Scores of the 16 tokens at `i`..+15 whose draws are in word0..word3. */
// @ts-ignore: decorator
@inline function consider16(z: usize, i: i32, columns: i32, start: i32, inverse: v128, noise: v128): void {
  const g0 = f32x4.mul(noise, gumbel(word0)), g1 = f32x4.mul(noise, gumbel(word1)), g2 = f32x4.mul(noise, gumbel(word2)), g3 = f32x4.mul(noise, gumbel(word3));
  const t0 = v128.shuffle<f32>(g0, g1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(g0, g1, 2, 6, 3, 7);
  const t2 = v128.shuffle<f32>(g2, g3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(g2, g3, 2, 6, 3, 7);
  consider(z, i, columns, start, inverse, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
  consider(z, i + 4, columns, start, inverse, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
  consider(z, i + 8, columns, start, inverse, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
  consider(z, i + 12, columns, start, inverse, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
}

/** Tokens that cannot beat `best` are passed by as soon as that is known: before their draw, or before its two logarithms. */
function sampleRow(z: usize, keys: usize, columns: i32, start: i32, inverse: v128, noise: f32): void {
  const k0 = load<u32>(keys), k1 = load<u32>(keys, 4);
  beginPhilox(load<u32>(keys, 8), load<u32>(keys, 12), load<u32>(keys, 16), k0, k1);
  const noise4 = f32x4.splat(noise), lanes = i32x4(0, 1, 2, 3);
  for (let block = start >> 2; block * 4 < start + columns; block += 4) {
    const i = block * 4 - start;
    const least = i >= 0 && i + 16 <= columns && noise > 0 ? leastDraw(largest16(z, i, inverse), best, noise) : -1;
    if (least > 0x1000000) continue;
    philox4(i32x4.add(i32x4.splat(block), lanes), k0, k1);
    const draws = i32x4.max_u(i32x4.max_u(word0, word1), i32x4.max_u(word2, word3));
    if (v128.any_true(i32x4.ge_s(i32x4.shr_u(draws, 8), i32x4.splat(least)))) consider16(z, i, columns, start, inverse, noise4);
  }
}

export function sampleTile(job: usize, firstRow: i32, lastRow: i32): void {
  const width = word(job, 1), start = word(job, 2), inverse = f32x4.splat(wordFloat(job, 5)), noise = wordFloat(job, 6);
  const columns = min(width, word(job, 4) - start);
  for (let row = firstRow; row < lastRow; row++) {
    const z = at(pointer(job, 0), row * width);
    best = word(job, 3) ? -Infinity : load<f32>(at(pointer(job, 2), row));
    bestId = word(job, 3) ? 0 : load<i32>(at(pointer(job, 3), row));
    if (noise == 0) for (let i = 0; i < columns; i += 4) consider(z, i, columns, start, inverse, f32x4.splat(0));
    else sampleRow(z, at(pointer(job, 1), row * 8), columns, start, inverse, noise);
    store<f32>(at(pointer(job, 2), row), best);
    store<i32>(at(pointer(job, 3), row), bestId);
  }
}
