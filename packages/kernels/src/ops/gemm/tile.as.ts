// Inner loops of the product: tiles of 5 or 4 rows by 8 columns in registers, five k a round. The exits between two k are no accident: without them V8
// puts the sums of one accumulator back to back and spills. V8 has 15 vector registers; each row of A has its own pointer, because V8 takes one more
// instruction for every further offset of a splat. On V8 13.6 tiles of 6 rows, and 4, 6 or 8 k a round, are 2 to 8 % slower.
import { madd } from "../../../assembly/math";

/**
 * C = from + a·b over kc > 0, for `panels` tiles side by side: b in panels of 8 columns, one behind the other. Strides and steps in bytes.
 * A start that all rows share (bias) has fromStride 0, one that all tiles share (zeros) fromStep 0.
 */
export function strip5(panels: i32, kc: i32, r0: usize, r1: usize, r2: usize, r3: usize, r4: usize, b: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, stride: usize): void {
  for (; panels > 0; panels--, from += fromStep, c += 32) {
    let s00 = v128.load(from), s01 = v128.load(from, 16);
    let s10 = v128.load(from + fromStride), s11 = v128.load(from + fromStride, 16);
    let s20 = v128.load(from + fromStride * 2), s21 = v128.load(from + fromStride * 2, 16);
    let s30 = v128.load(from + fromStride * 3), s31 = v128.load(from + fromStride * 3, 16);
    let s40 = v128.load(from + fromStride * 4), s41 = v128.load(from + fromStride * 4, 16);
    let a0 = r0, a1 = r1, a2 = r2, a3 = r3, a4 = r4, k = kc;
    let b0: v128, b1: v128, x: v128;
    while (true) {
      b0 = v128.load(b); b1 = v128.load(b, 16);
      x = v128.load32_splat(a0); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      x = v128.load32_splat(a4); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
      if (--k == 0) { b += 32; break; }
      b0 = v128.load(b, 32); b1 = v128.load(b, 48);
      x = v128.load32_splat(a0, 4); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 4); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 4); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      x = v128.load32_splat(a4, 4); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
      if (--k == 0) { b += 64; break; }
      b0 = v128.load(b, 64); b1 = v128.load(b, 80);
      x = v128.load32_splat(a0, 8); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 8); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 8); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      x = v128.load32_splat(a4, 8); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
      if (--k == 0) { b += 96; break; }
      b0 = v128.load(b, 96); b1 = v128.load(b, 112);
      x = v128.load32_splat(a0, 12); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 12); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 12); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      x = v128.load32_splat(a4, 12); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
      if (--k == 0) { b += 128; break; }
      b0 = v128.load(b, 128); b1 = v128.load(b, 144);
      x = v128.load32_splat(a0, 16); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 16); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 16); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 16); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      x = v128.load32_splat(a4, 16); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
      b += 160;
      if (--k == 0) break;
      a0 += 20; a1 += 20; a2 += 20; a3 += 20; a4 += 20;
    }
    v128.store(c, s00); v128.store(c, s01, 16);
    v128.store(c + stride, s10); v128.store(c + stride, s11, 16);
    v128.store(c + stride * 2, s20); v128.store(c + stride * 2, s21, 16);
    v128.store(c + stride * 3, s30); v128.store(c + stride * 3, s31, 16);
    v128.store(c + stride * 4, s40); v128.store(c + stride * 4, s41, 16);
  }
}

/** As strip5. */
export function strip4(panels: i32, kc: i32, r0: usize, r1: usize, r2: usize, r3: usize, b: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, stride: usize): void {
  for (; panels > 0; panels--, from += fromStep, c += 32) {
    let s00 = v128.load(from), s01 = v128.load(from, 16);
    let s10 = v128.load(from + fromStride), s11 = v128.load(from + fromStride, 16);
    let s20 = v128.load(from + fromStride * 2), s21 = v128.load(from + fromStride * 2, 16);
    let s30 = v128.load(from + fromStride * 3), s31 = v128.load(from + fromStride * 3, 16);
    let a0 = r0, a1 = r1, a2 = r2, a3 = r3, k = kc;
    let b0: v128, b1: v128, x: v128;
    while (true) {
      b0 = v128.load(b); b1 = v128.load(b, 16);
      x = v128.load32_splat(a0); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      if (--k == 0) { b += 32; break; }
      b0 = v128.load(b, 32); b1 = v128.load(b, 48);
      x = v128.load32_splat(a0, 4); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 4); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 4); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      if (--k == 0) { b += 64; break; }
      b0 = v128.load(b, 64); b1 = v128.load(b, 80);
      x = v128.load32_splat(a0, 8); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 8); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 8); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      if (--k == 0) { b += 96; break; }
      b0 = v128.load(b, 96); b1 = v128.load(b, 112);
      x = v128.load32_splat(a0, 12); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 12); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 12); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      if (--k == 0) { b += 128; break; }
      b0 = v128.load(b, 128); b1 = v128.load(b, 144);
      x = v128.load32_splat(a0, 16); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); x = v128.load32_splat(a1, 16); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
      x = v128.load32_splat(a2, 16); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); x = v128.load32_splat(a3, 16); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
      b += 160;
      if (--k == 0) break;
      a0 += 20; a1 += 20; a2 += 20; a3 += 20;
    }
    v128.store(c, s00); v128.store(c, s01, 16);
    v128.store(c + stride, s10); v128.store(c + stride, s11, 16);
    v128.store(c + stride * 2, s20); v128.store(c + stride * 2, s21, 16);
    v128.store(c + stride * 3, s30); v128.store(c + stride * 3, s31, 16);
  }
}
