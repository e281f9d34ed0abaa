// Inner loops of attention: products of rows with a panel of lanes, and sums of rows weighted by lane, eight lanes (two vectors) or four. Every number is
// summed one by one, over channels or over rows, in the same way in all of them. `stride`: bytes from row to row. C channels.
import { madd } from "../../../assembly/math";

/** out[j] = row j times the panel, lane by lane; `out` has room for three more. The exits between channels are no accident: see ../gemm/tile.as.ts. */
export function products8(panel: usize, rows: usize, stride: usize, count: i32, C: i32, out: usize): void {
  for (; count > 0; count -= 4, rows += stride << 2, out += 128) {
    let r0 = rows, r1 = count > 1 ? r0 + stride : r0, r2 = count > 2 ? r1 + stride : r1, r3 = count > 3 ? r2 + stride : r2, x = panel, c = C;
    let a00 = f32x4.splat(0), a01 = f32x4.splat(0), a10 = f32x4.splat(0), a11 = f32x4.splat(0);
    let a20 = f32x4.splat(0), a21 = f32x4.splat(0), a30 = f32x4.splat(0), a31 = f32x4.splat(0);
    let p0: v128, p1: v128, s: v128;
    while (true) {
      p0 = v128.load(x); p1 = v128.load(x, 16);
      s = v128.load32_splat(r0); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 32); p1 = v128.load(x, 48);
      s = v128.load32_splat(r0, 4); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 4); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 4); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 4); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 64); p1 = v128.load(x, 80);
      s = v128.load32_splat(r0, 8); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 8); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 8); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 8); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 96); p1 = v128.load(x, 112);
      s = v128.load32_splat(r0, 12); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 12); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 12); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 12); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 128); p1 = v128.load(x, 144);
      s = v128.load32_splat(r0, 16); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 16); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 16); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 16); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 160); p1 = v128.load(x, 176);
      s = v128.load32_splat(r0, 20); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 20); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 20); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 20); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 192); p1 = v128.load(x, 208);
      s = v128.load32_splat(r0, 24); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 24); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 24); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 24); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      p0 = v128.load(x, 224); p1 = v128.load(x, 240);
      s = v128.load32_splat(r0, 28); a00 = madd(s, p0, a00); a01 = madd(s, p1, a01); s = v128.load32_splat(r1, 28); a10 = madd(s, p0, a10); a11 = madd(s, p1, a11);
      s = v128.load32_splat(r2, 28); a20 = madd(s, p0, a20); a21 = madd(s, p1, a21); s = v128.load32_splat(r3, 28); a30 = madd(s, p0, a30); a31 = madd(s, p1, a31);
      if (--c == 0) break;
      r0 += 32; r1 += 32; r2 += 32; r3 += 32; x += 256;
    }
    v128.store(out, a00); v128.store(out, a01, 16); v128.store(out, a10, 32); v128.store(out, a11, 48);
    v128.store(out, a20, 64); v128.store(out, a21, 80); v128.store(out, a30, 96); v128.store(out, a31, 112);
  }
}

/** As products8, of four lanes. */
export function products4(panel: usize, rows: usize, stride: usize, count: i32, C: i32, out: usize): void {
  for (; count > 0; count -= 4, rows += stride << 2, out += 64) {
    let r0 = rows, r1 = count > 1 ? r0 + stride : r0, r2 = count > 2 ? r1 + stride : r1, r3 = count > 3 ? r2 + stride : r2, x = panel, c = C;
    let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0), a3 = f32x4.splat(0), p: v128;
    while (true) {
      p = v128.load(x);
      a0 = madd(v128.load32_splat(r0), p, a0); a1 = madd(v128.load32_splat(r1), p, a1);
      a2 = madd(v128.load32_splat(r2), p, a2); a3 = madd(v128.load32_splat(r3), p, a3);
      if (--c == 0) break;
      p = v128.load(x, 16);
      a0 = madd(v128.load32_splat(r0, 4), p, a0); a1 = madd(v128.load32_splat(r1, 4), p, a1);
      a2 = madd(v128.load32_splat(r2, 4), p, a2); a3 = madd(v128.load32_splat(r3, 4), p, a3);
      if (--c == 0) break;
      p = v128.load(x, 32);
      a0 = madd(v128.load32_splat(r0, 8), p, a0); a1 = madd(v128.load32_splat(r1, 8), p, a1);
      a2 = madd(v128.load32_splat(r2, 8), p, a2); a3 = madd(v128.load32_splat(r3, 8), p, a3);
      if (--c == 0) break;
      p = v128.load(x, 48);
      a0 = madd(v128.load32_splat(r0, 12), p, a0); a1 = madd(v128.load32_splat(r1, 12), p, a1);
      a2 = madd(v128.load32_splat(r2, 12), p, a2); a3 = madd(v128.load32_splat(r3, 12), p, a3);
      if (--c == 0) break;
      r0 += 16; r1 += 16; r2 += 16; r3 += 16; x += 64;
    }
    v128.store(out, a0); v128.store(out, a1, 16); v128.store(out, a2, 32); v128.store(out, a3, 48);
  }
}

/** panel += the sum over j of weights[j] times row j. */
export function addRows8(panel: usize, weights: usize, rows: usize, stride: usize, count: i32, C: i32): void {
  const end = weights + (<usize>count << 5);
  for (; C >= 4; C -= 4, panel += 128, rows += 16) {
    let a00 = v128.load(panel), a01 = v128.load(panel, 16), a10 = v128.load(panel, 32), a11 = v128.load(panel, 48);
    let a20 = v128.load(panel, 64), a21 = v128.load(panel, 80), a30 = v128.load(panel, 96), a31 = v128.load(panel, 112);
    for (let w = weights, r = rows; w < end; w += 32, r += stride) {
      const w0 = v128.load(w), w1 = v128.load(w, 16);
      let s = v128.load32_splat(r);
      a00 = madd(s, w0, a00); a01 = madd(s, w1, a01); s = v128.load32_splat(r, 4); a10 = madd(s, w0, a10); a11 = madd(s, w1, a11);
      s = v128.load32_splat(r, 8); a20 = madd(s, w0, a20); a21 = madd(s, w1, a21); s = v128.load32_splat(r, 12); a30 = madd(s, w0, a30); a31 = madd(s, w1, a31);
    }
    v128.store(panel, a00); v128.store(panel, a01, 16); v128.store(panel, a10, 32); v128.store(panel, a11, 48);
    v128.store(panel, a20, 64); v128.store(panel, a21, 80); v128.store(panel, a30, 96); v128.store(panel, a31, 112);
  }
  for (; C > 0; C--, panel += 32, rows += 4) {
    let a0 = v128.load(panel), a1 = v128.load(panel, 16);
    for (let w = weights, r = rows; w < end; w += 32, r += stride) {
      const s = v128.load32_splat(r);
      a0 = madd(s, v128.load(w), a0); a1 = madd(s, v128.load(w, 16), a1);
    }
    v128.store(panel, a0); v128.store(panel, a1, 16);
  }
}

/** As addRows8, of four lanes. */
export function addRows4(panel: usize, weights: usize, rows: usize, stride: usize, count: i32, C: i32): void {
  const end = weights + (<usize>count << 4);
  for (; C >= 8; C -= 8, panel += 128, rows += 32) {
    let a0 = v128.load(panel), a1 = v128.load(panel, 16), a2 = v128.load(panel, 32), a3 = v128.load(panel, 48);
    let a4 = v128.load(panel, 64), a5 = v128.load(panel, 80), a6 = v128.load(panel, 96), a7 = v128.load(panel, 112);
    for (let w = weights, r = rows; w < end; w += 16, r += stride) {
      const p = v128.load(w);
      a0 = madd(v128.load32_splat(r), p, a0); a1 = madd(v128.load32_splat(r, 4), p, a1);
      a2 = madd(v128.load32_splat(r, 8), p, a2); a3 = madd(v128.load32_splat(r, 12), p, a3);
      a4 = madd(v128.load32_splat(r, 16), p, a4); a5 = madd(v128.load32_splat(r, 20), p, a5);
      a6 = madd(v128.load32_splat(r, 24), p, a6); a7 = madd(v128.load32_splat(r, 28), p, a7);
    }
    v128.store(panel, a0); v128.store(panel, a1, 16); v128.store(panel, a2, 32); v128.store(panel, a3, 48);
    v128.store(panel, a4, 64); v128.store(panel, a5, 80); v128.store(panel, a6, 96); v128.store(panel, a7, 112);
  }
  for (; C > 0; C--, panel += 16, rows += 4) {
    let a = v128.load(panel);
    for (let w = weights, r = rows; w < end; w += 16, r += stride) a = madd(v128.load32_splat(r), v128.load(w), a);
    v128.store(panel, a);
  }
}
