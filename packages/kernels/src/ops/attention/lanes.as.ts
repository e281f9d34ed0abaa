// Lanes: four or eight rows of one kv head (queries with their heads, or keys) side by side, so that one number of a row on the other side is multiplied
// with all of them. A panel has a vector or two a channel (`step` bytes), a block as many a row of the other side. What a lane holds changes no other
// lane's bits, and where a sum meets a row that a lane does not see, its weight is 0, or the row is left out for it (addHidden). C channels.
import { at, madd } from "../../../assembly/math";

/** Rows of the other side that are taken at once. */
export const BLOCK: i32 = 128;
export const LOG2E: f32 = 1.44269504;

/** Of power4, in its order. In memory, since V8 makes constants anew in every round of a loop. */
export const POWERS: usize = memory.data<f32>([-127, 12583039, 1.3264727e-3, 9.6715130e-3, 5.5507336e-2, 2.4022242e-1, 6.9314700e-1, 1], 16);

/** 2^x for x <= 0, about 1e-7 relative, 0 from -127 on; `least` and so on are those of POWERS. */
// @ts-ignore: decorator
@inline export function power4(x: v128, least: v128, magic: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
  const clamped = f32x4.pmax(x, least);
  // magic = 1.5 * 2^23 + 127: the low bits become the exponent's
  const shifted = f32x4.add(clamped, magic);
  const r = f32x4.sub(clamped, f32x4.sub(shifted, magic)), square = f32x4.mul(r, r);
  const p = madd(madd(madd(c5, r, c4), square, madd(c3, r, c2)), square, madd(c1, r, c0));
  return f32x4.mul(p, i32x4.shl(shifted, 23));
}

/** `bytes`, a multiple of 16, become 0. */
export function clear(panel: usize, bytes: usize): void {
  for (const end = panel + bytes; panel < end; panel += 16) v128.store(panel, f32x4.splat(0));
}

/** panel[c] = factor times channel c of the rows of x at the four offsets `lanes`. */
export function splitLanes(x: usize, lanes: usize, C: i32, factor: f32, panel: usize, step: usize): void {
  let r0 = at(x, load<i32>(lanes)), r1 = at(x, load<i32>(lanes, 4)), r2 = at(x, load<i32>(lanes, 8)), r3 = at(x, load<i32>(lanes, 12));
  const f = f32x4.splat(factor);
  let c = 0;
  for (; c + 4 <= C; c += 4, r0 += 16, r1 += 16, r2 += 16, r3 += 16) {
    const x0 = v128.load(r0), x1 = v128.load(r1), x2 = v128.load(r2), x3 = v128.load(r3);
    const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
    const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    v128.store(panel, f32x4.mul(f, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5))); panel += step;
    v128.store(panel, f32x4.mul(f, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7))); panel += step;
    v128.store(panel, f32x4.mul(f, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5))); panel += step;
    v128.store(panel, f32x4.mul(f, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7))); panel += step;
  }
  for (; c < C; c++, r0 += 4, r1 += 4, r2 += 4, r3 += 4, panel += step)
    v128.store(panel, f32x4.mul(f, f32x4(load<f32>(r0), load<f32>(r1), load<f32>(r2), load<f32>(r3))));
}

/** The way back, for the first `count` lanes. A sum that is -0, as only what a lane does not see can turn to +0, becomes +0. */
export function joinLanes(panel: usize, step: usize, C: i32, factor: v128, y: usize, lanes: usize, count: i32): void {
  let r0 = at(y, load<i32>(lanes)), r1 = at(y, load<i32>(lanes, 4)), r2 = at(y, load<i32>(lanes, 8)), r3 = at(y, load<i32>(lanes, 12));
  const zero = f32x4.splat(0);
  let c = 0;
  for (; c + 4 <= C; c += 4, r0 += 16, r1 += 16, r2 += 16, r3 += 16) {
    const x0 = f32x4.add(f32x4.mul(factor, v128.load(panel)), zero); panel += step;
    const x1 = f32x4.add(f32x4.mul(factor, v128.load(panel)), zero); panel += step;
    const x2 = f32x4.add(f32x4.mul(factor, v128.load(panel)), zero); panel += step;
    const x3 = f32x4.add(f32x4.mul(factor, v128.load(panel)), zero); panel += step;
    const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
    const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    v128.store(r0, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
    if (count > 1) v128.store(r1, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
    if (count > 2) v128.store(r2, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
    if (count > 3) v128.store(r3, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
  }
  for (; c < C; c++, r0 += 4, r1 += 4, r2 += 4, r3 += 4, panel += step) {
    const x = f32x4.add(f32x4.mul(factor, v128.load(panel)), zero);
    v128.store32_lane(r0, x, 0);
    if (count > 1) v128.store32_lane(r1, x, 1);
    if (count > 2) v128.store32_lane(r2, x, 2);
    if (count > 3) v128.store32_lane(r3, x, 3);
  }
}

/** Whether `count` rows hold neither infinity nor NaN: times the weight 0 they add nothing. */
export function finite(rows: usize, stride: usize, count: i32, C: i32): bool {
  let seen = f32x4.splat(0), tail: f32 = 0;
  for (; count > 0; count--, rows += stride) {
    let c = 0;
    for (; c + 4 <= C; c += 4) { const x = v128.load(at(rows, c)); seen = f32x4.add(seen, f32x4.sub(x, x)); }
    for (; c < C; c++) { const x = load<f32>(at(rows, c)); tail += x - x; }
  }
  return tail == 0 && !v128.any_true(f32x4.ne(seen, f32x4.splat(0)));
}

/** panel += weights times the row, in the lanes of the mask. */
export function addHidden(panel: usize, step: usize, weights: v128, row: usize, C: i32, mask: v128): void {
  for (let c = 0; c < C; c++, panel += step, row += 4) {
    const old = v128.load(panel);
    v128.store(panel, v128.bitselect(madd(v128.load32_splat(row), weights, old), old, mask));
  }
}
