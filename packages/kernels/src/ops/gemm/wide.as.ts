// Inner loops of the product where V8 makes one 256-bit operation of two of 128 side by side (--experimental-wasm-revectorize): tiles of 5 or 4 rows by two
// panels of 8 columns, ten or eight sums of 256 bits. Each element is summed as in tile.as.ts; without that flag these tiles spill and are slow.
import { madd } from "../../../assembly/math";

/** As strip5 of tile.as.ts, for an even number of panels. */
export function pairs5(panels: i32, kc: i32, r0: usize, r1: usize, r2: usize, r3: usize, r4: usize, b: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, stride: usize): void {
  const size = <usize>kc << 5;
  for (; panels > 0; panels -= 2, from += fromStep * 2, c += 64, b += size) {
    let d = b + size;
    let s00 = v128.load(from), s01 = v128.load(from, 16), s02 = v128.load(from + fromStep), s03 = v128.load(from + fromStep, 16);
    let s10 = v128.load(from + fromStride), s11 = v128.load(from + fromStride, 16), s12 = v128.load(from + fromStride + fromStep), s13 = v128.load(from + fromStride + fromStep, 16);
    let s20 = v128.load(from + fromStride * 2), s21 = v128.load(from + fromStride * 2, 16), s22 = v128.load(from + fromStride * 2 + fromStep), s23 = v128.load(from + fromStride * 2 + fromStep, 16);
    let s30 = v128.load(from + fromStride * 3), s31 = v128.load(from + fromStride * 3, 16), s32 = v128.load(from + fromStride * 3 + fromStep), s33 = v128.load(from + fromStride * 3 + fromStep, 16);
    let s40 = v128.load(from + fromStride * 4), s41 = v128.load(from + fromStride * 4, 16), s42 = v128.load(from + fromStride * 4 + fromStep), s43 = v128.load(from + fromStride * 4 + fromStep, 16);
    let a0 = r0, a1 = r1, a2 = r2, a3 = r3, a4 = r4, k = kc;
    let b0: v128, b1: v128, b2: v128, b3: v128, x: v128;
    while (true) {
      b0 = v128.load(b); b1 = v128.load(b, 16); b2 = v128.load(d); b3 = v128.load(d, 16);
      x = v128.load32_splat(a0); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      if (--k == 0) { b += 32; break; }
      b0 = v128.load(b, 32); b1 = v128.load(b, 48); b2 = v128.load(d, 32); b3 = v128.load(d, 48);
      x = v128.load32_splat(a0, 4); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 4); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 4); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4, 4); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      if (--k == 0) { b += 64; break; }
      b0 = v128.load(b, 64); b1 = v128.load(b, 80); b2 = v128.load(d, 64); b3 = v128.load(d, 80);
      x = v128.load32_splat(a0, 8); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 8); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 8); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4, 8); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      if (--k == 0) { b += 96; break; }
      b0 = v128.load(b, 96); b1 = v128.load(b, 112); b2 = v128.load(d, 96); b3 = v128.load(d, 112);
      x = v128.load32_splat(a0, 12); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 12); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 12); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4, 12); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      if (--k == 0) { b += 128; break; }
      b0 = v128.load(b, 128); b1 = v128.load(b, 144); b2 = v128.load(d, 128); b3 = v128.load(d, 144);
      x = v128.load32_splat(a0, 16); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 16); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 16); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 16); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4, 16); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      if (--k == 0) { b += 160; break; }
      b0 = v128.load(b, 160); b1 = v128.load(b, 176); b2 = v128.load(d, 160); b3 = v128.load(d, 176);
      x = v128.load32_splat(a0, 20); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 20); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 20); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 20); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      x = v128.load32_splat(a4, 20); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41); s42 = madd(x, b2, s42); s43 = madd(x, b3, s43);
      b += 192;
      if (--k == 0) break;
      a0 += 24; a1 += 24; a2 += 24; a3 += 24; a4 += 24; d += 192;
    }
    v128.store(c, s00); v128.store(c, s01, 16); v128.store(c, s02, 32); v128.store(c, s03, 48);
    v128.store(c + stride, s10); v128.store(c + stride, s11, 16); v128.store(c + stride, s12, 32); v128.store(c + stride, s13, 48);
    v128.store(c + stride * 2, s20); v128.store(c + stride * 2, s21, 16); v128.store(c + stride * 2, s22, 32); v128.store(c + stride * 2, s23, 48);
    v128.store(c + stride * 3, s30); v128.store(c + stride * 3, s31, 16); v128.store(c + stride * 3, s32, 32); v128.store(c + stride * 3, s33, 48);
    v128.store(c + stride * 4, s40); v128.store(c + stride * 4, s41, 16); v128.store(c + stride * 4, s42, 32); v128.store(c + stride * 4, s43, 48);
  }
}

/** As pairs5. */
export function pairs4(panels: i32, kc: i32, r0: usize, r1: usize, r2: usize, r3: usize, b: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, stride: usize): void {
  const size = <usize>kc << 5;
  for (; panels > 0; panels -= 2, from += fromStep * 2, c += 64, b += size) {
    let d = b + size;
    let s00 = v128.load(from), s01 = v128.load(from, 16), s02 = v128.load(from + fromStep), s03 = v128.load(from + fromStep, 16);
    let s10 = v128.load(from + fromStride), s11 = v128.load(from + fromStride, 16), s12 = v128.load(from + fromStride + fromStep), s13 = v128.load(from + fromStride + fromStep, 16);
    let s20 = v128.load(from + fromStride * 2), s21 = v128.load(from + fromStride * 2, 16), s22 = v128.load(from + fromStride * 2 + fromStep), s23 = v128.load(from + fromStride * 2 + fromStep, 16);
    let s30 = v128.load(from + fromStride * 3), s31 = v128.load(from + fromStride * 3, 16), s32 = v128.load(from + fromStride * 3 + fromStep), s33 = v128.load(from + fromStride * 3 + fromStep, 16);
    let a0 = r0, a1 = r1, a2 = r2, a3 = r3, k = kc;
    let b0: v128, b1: v128, b2: v128, b3: v128, x: v128;
    while (true) {
      b0 = v128.load(b); b1 = v128.load(b, 16); b2 = v128.load(d); b3 = v128.load(d, 16);
      x = v128.load32_splat(a0); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      if (--k == 0) { b += 32; break; }
      b0 = v128.load(b, 32); b1 = v128.load(b, 48); b2 = v128.load(d, 32); b3 = v128.load(d, 48);
      x = v128.load32_splat(a0, 4); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 4); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 4); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      if (--k == 0) { b += 64; break; }
      b0 = v128.load(b, 64); b1 = v128.load(b, 80); b2 = v128.load(d, 64); b3 = v128.load(d, 80);
      x = v128.load32_splat(a0, 8); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 8); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 8); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      if (--k == 0) { b += 96; break; }
      b0 = v128.load(b, 96); b1 = v128.load(b, 112); b2 = v128.load(d, 96); b3 = v128.load(d, 112);
      x = v128.load32_splat(a0, 12); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 12); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 12); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      if (--k == 0) { b += 128; break; }
      b0 = v128.load(b, 128); b1 = v128.load(b, 144); b2 = v128.load(d, 128); b3 = v128.load(d, 144);
      x = v128.load32_splat(a0, 16); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 16); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 16); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 16); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      if (--k == 0) { b += 160; break; }
      b0 = v128.load(b, 160); b1 = v128.load(b, 176); b2 = v128.load(d, 160); b3 = v128.load(d, 176);
      x = v128.load32_splat(a0, 20); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01); s02 = madd(x, b2, s02); s03 = madd(x, b3, s03);
      x = v128.load32_splat(a1, 20); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11); s12 = madd(x, b2, s12); s13 = madd(x, b3, s13);
      x = v128.load32_splat(a2, 20); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21); s22 = madd(x, b2, s22); s23 = madd(x, b3, s23);
      x = v128.load32_splat(a3, 20); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31); s32 = madd(x, b2, s32); s33 = madd(x, b3, s33);
      b += 192;
      if (--k == 0) break;
      a0 += 24; a1 += 24; a2 += 24; a3 += 24; d += 192;
    }
    v128.store(c, s00); v128.store(c, s01, 16); v128.store(c, s02, 32); v128.store(c, s03, 48);
    v128.store(c + stride, s10); v128.store(c + stride, s11, 16); v128.store(c + stride, s12, 32); v128.store(c + stride, s13, 48);
    v128.store(c + stride * 2, s20); v128.store(c + stride * 2, s21, 16); v128.store(c + stride * 2, s22, 32); v128.store(c + stride * 2, s23, 48);
    v128.store(c + stride * 3, s30); v128.store(c + stride * 3, s31, 16); v128.store(c + stride * 3, s32, 32); v128.store(c + stride * 3, s33, 48);
  }
}
