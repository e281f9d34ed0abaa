// Vectors whose lanes are four heads of one kv head: transposing rows of q into them and back, products with keys and values. Every key has its own
// accumulator and every sum over keys runs in the order of the row's list: where keys are in memory changes no bit. C channels.
import { at, madd } from "../../../assembly/math";

/** out[c] = factor times channel c of `count` heads at x (the last one repeated). */
export function splitHeads(x: usize, C: i32, count: i32, factor: f32, out: usize): void {
  const r1 = at(x, min(1, count - 1) * C), r2 = at(x, min(2, count - 1) * C), r3 = at(x, (count - 1) * C), f = f32x4.splat(factor);
  let c = 0;
  for (; c + 4 <= C; c += 4) {
    const x0 = v128.load(at(x, c)), x1 = v128.load(at(r1, c)), x2 = v128.load(at(r2, c)), x3 = v128.load(at(r3, c));
    const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
    const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    const target = at(out, c * 4);
    v128.store(target, f32x4.mul(f, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5)));
    v128.store(target, f32x4.mul(f, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7)), 16);
    v128.store(target, f32x4.mul(f, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5)), 32);
    v128.store(target, f32x4.mul(f, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7)), 48);
  }
  for (; c < C; c++) v128.store(at(out, c * 4), f32x4.mul(f, f32x4(load<f32>(at(x, c)), load<f32>(at(r1, c)), load<f32>(at(r2, c)), load<f32>(at(r3, c)))));
}

/** The way back: `count` heads at y, each channel times factor. */
export function joinHeads(x: usize, C: i32, count: i32, factor: v128, y: usize): void {
  let c = 0;
  for (; c + 4 <= C; c += 4) {
    const source = at(x, c * 4);
    const x0 = f32x4.mul(factor, v128.load(source)), x1 = f32x4.mul(factor, v128.load(source, 16));
    const x2 = f32x4.mul(factor, v128.load(source, 32)), x3 = f32x4.mul(factor, v128.load(source, 48));
    const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
    const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    v128.store(at(y, c), v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
    if (count > 1) v128.store(at(y, C + c), v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
    if (count > 2) v128.store(at(y, 2 * C + c), v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
    if (count > 3) v128.store(at(y, 3 * C + c), v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
  }
  for (; c < C; c++) {
    const value = f32x4.mul(factor, v128.load(at(x, c * 4)));
    store<f32>(at(y, c), f32x4.extract_lane(value, 0));
    if (count > 1) store<f32>(at(y, C + c), f32x4.extract_lane(value, 1));
    if (count > 2) store<f32>(at(y, 2 * C + c), f32x4.extract_lane(value, 2));
    if (count > 3) store<f32>(at(y, 3 * C + c), f32x4.extract_lane(value, 3));
  }
}

/** out[j] = q · row j of `count` rows `stride` bytes apart. */
export function products(q: usize, rows: usize, stride: usize, count: i32, C: i32, out: usize): void {
  let j = 0;
  for (; j + 4 <= count; j += 4, rows += stride * 4, out += 64) {
    let r0 = rows, r1 = rows + stride, r2 = r1 + stride, r3 = r2 + stride, x = q;
    let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0), a3 = f32x4.splat(0);
    let c = 0;
    for (; c + 4 <= C; c += 4, r0 += 16, r1 += 16, r2 += 16, r3 += 16, x += 64) {
      let v = v128.load(x);
      a0 = madd(v128.load32_splat(r0), v, a0); a1 = madd(v128.load32_splat(r1), v, a1);
      a2 = madd(v128.load32_splat(r2), v, a2); a3 = madd(v128.load32_splat(r3), v, a3);
      v = v128.load(x, 16);
      a0 = madd(v128.load32_splat(r0, 4), v, a0); a1 = madd(v128.load32_splat(r1, 4), v, a1);
      a2 = madd(v128.load32_splat(r2, 4), v, a2); a3 = madd(v128.load32_splat(r3, 4), v, a3);
      v = v128.load(x, 32);
      a0 = madd(v128.load32_splat(r0, 8), v, a0); a1 = madd(v128.load32_splat(r1, 8), v, a1);
      a2 = madd(v128.load32_splat(r2, 8), v, a2); a3 = madd(v128.load32_splat(r3, 8), v, a3);
      v = v128.load(x, 48);
      a0 = madd(v128.load32_splat(r0, 12), v, a0); a1 = madd(v128.load32_splat(r1, 12), v, a1);
      a2 = madd(v128.load32_splat(r2, 12), v, a2); a3 = madd(v128.load32_splat(r3, 12), v, a3);
    }
    for (; c < C; c++, r0 += 4, r1 += 4, r2 += 4, r3 += 4, x += 16) {
      const v = v128.load(x);
      a0 = madd(v128.load32_splat(r0), v, a0); a1 = madd(v128.load32_splat(r1), v, a1);
      a2 = madd(v128.load32_splat(r2), v, a2); a3 = madd(v128.load32_splat(r3), v, a3);
    }
    v128.store(out, a0); v128.store(out, a1, 16); v128.store(out, a2, 32); v128.store(out, a3, 48);
  }
  for (; j < count; j++, rows += stride, out += 16) {
    let r = rows, x = q, a = f32x4.splat(0), c = 0;
    for (; c + 4 <= C; c += 4, r += 16, x += 64) {
      a = madd(v128.load32_splat(r), v128.load(x), a);
      a = madd(v128.load32_splat(r, 4), v128.load(x, 16), a);
      a = madd(v128.load32_splat(r, 8), v128.load(x, 32), a);
      a = madd(v128.load32_splat(r, 12), v128.load(x, 48), a);
    }
    for (; c < C; c++, r += 4, x += 16) a = madd(v128.load32_splat(r), v128.load(x), a);
    v128.store(out, a);
  }
}

/** y[c] += sum over j of weights[j] times channel c of row j, for eight channels (or one) of `count` rows `stride` bytes apart. */
export function addRows8(y: usize, weights: usize, rows: usize, stride: usize, count: i32): void {
  let a0 = v128.load(y), a1 = v128.load(y, 16), a2 = v128.load(y, 32), a3 = v128.load(y, 48);
  let a4 = v128.load(y, 64), a5 = v128.load(y, 80), a6 = v128.load(y, 96), a7 = v128.load(y, 112);
  for (let j = 0; j < count; j++, rows += stride, weights += 16) {
    const p = v128.load(weights);
    a0 = madd(v128.load32_splat(rows), p, a0); a1 = madd(v128.load32_splat(rows, 4), p, a1);
    a2 = madd(v128.load32_splat(rows, 8), p, a2); a3 = madd(v128.load32_splat(rows, 12), p, a3);
    a4 = madd(v128.load32_splat(rows, 16), p, a4); a5 = madd(v128.load32_splat(rows, 20), p, a5);
    a6 = madd(v128.load32_splat(rows, 24), p, a6); a7 = madd(v128.load32_splat(rows, 28), p, a7);
  }
  v128.store(y, a0); v128.store(y, a1, 16); v128.store(y, a2, 32); v128.store(y, a3, 48);
  v128.store(y, a4, 64); v128.store(y, a5, 80); v128.store(y, a6, 96); v128.store(y, a7, 112);
}
export function addRows1(y: usize, weights: usize, rows: usize, stride: usize, count: i32): void {
  let a = v128.load(y);
  for (let j = 0; j < count; j++, rows += stride, weights += 16) a = madd(v128.load32_splat(rows), v128.load(weights), a);
  v128.store(y, a);
}
