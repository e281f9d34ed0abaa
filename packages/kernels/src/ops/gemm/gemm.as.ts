// Blocked product: 4x8 tiles, B packed in panels of 8 columns by K blocks of 256. Edge tiles go through a full tile in scratch, so that
// every element is summed over k in the same order whatever its place. Scratch: B panels 128 KiB, A panel 4 KiB, tile 128 B.
import { at, divideUp, madd, pointer, word } from "../../../assembly/math";

const KC: i32 = 256;
const ROWS: i32 = 128;

// @ts-ignore: decorator
@inline function blockColumns(M: i32): i32 { return M <= ROWS ? 32 : 128; }

export function gemmChunks(job: usize): i32 {
  const M = word(job, 0);
  return divideUp(M, ROWS) * divideUp(word(job, 1), blockColumns(M));
}

// @ts-ignore: decorator
@inline function tile(k: i32, a0: usize, a1: usize, a2: usize, a3: usize, step: usize, b: usize, c: usize, stride: usize): void {
  const c1 = c + stride, c2 = c1 + stride, c3 = c2 + stride;
  let s00 = v128.load(c), s01 = v128.load(c, 16), s10 = v128.load(c1), s11 = v128.load(c1, 16);
  let s20 = v128.load(c2), s21 = v128.load(c2, 16), s30 = v128.load(c3), s31 = v128.load(c3, 16);
  let offset: usize = 0;
  const end = b + (<usize>k << 5);
  while (b < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let a = v128.load32_splat(a0 + offset);
    s00 = madd(a, b0, s00); s01 = madd(a, b1, s01);
    a = v128.load32_splat(a1 + offset);
    s10 = madd(a, b0, s10); s11 = madd(a, b1, s11);
    a = v128.load32_splat(a2 + offset);
    s20 = madd(a, b0, s20); s21 = madd(a, b1, s21);
    a = v128.load32_splat(a3 + offset);
    s30 = madd(a, b0, s30); s31 = madd(a, b1, s31);
    offset += step;
    b += 32;
  }
  v128.store(c, s00); v128.store(c, s01, 16); v128.store(c1, s10); v128.store(c1, s11, 16);
  v128.store(c2, s20); v128.store(c2, s21, 16); v128.store(c3, s30); v128.store(c3, s31, 16);
}

function packB(panel: usize, b: usize, mode: i32, N: i32, K: i32, n0: i32, n1: i32, k0: i32, kc: i32): void {
  for (let n = n0; n < n1; n += 8) {
    const columns = min(8, n1 - n);
    if (mode == 0) packTransposed(panel, b, K, n, columns, k0, kc);
    else packDirect(panel, at(b, k0 * N + n), N, columns, kc);
    panel += <usize>kc << 5;
  }
}

function packDirect(panel: usize, source: usize, N: i32, columns: i32, kc: i32): void {
  for (let k = 0; k < kc; k++, panel += 32, source += <usize>N << 2) {
    if (columns == 8) {
      v128.store(panel, v128.load(source));
      v128.store(panel, v128.load(source, 16), 16);
    } else for (let j = 0; j < 8; j++) store<f32>(at(panel, j), j < columns ? load<f32>(at(source, j)) : 0);
  }
}

function packTransposed(panel: usize, b: usize, K: i32, n: i32, columns: i32, k0: i32, kc: i32): void {
  for (let j = 0; j < 8; j += 4) {
    let k = 0;
    if (j + 4 <= columns) {
      const r0 = at(b, (n + j) * K + k0), r1 = at(r0, K), r2 = at(r1, K), r3 = at(r2, K);
      for (; k + 4 <= kc; k += 4) {
        const x0 = v128.load(at(r0, k)), x1 = v128.load(at(r1, k)), x2 = v128.load(at(r2, k)), x3 = v128.load(at(r3, k));
        const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
        const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
        const out = at(panel, k * 8 + j);
        v128.store(out, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
        v128.store(out, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7), 32);
        v128.store(out, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5), 64);
        v128.store(out, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7), 96);
      }
    }
    for (; k < kc; k++) for (let i = j; i < j + 4; i++) store<f32>(at(panel, k * 8 + i), i < columns ? load<f32>(at(b, (n + i) * K + k0 + k)) : 0);
  }
}

/** The product when C already holds what to add to. */
function blocks(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32, mode: i32, m0: i32, m1: i32, n0: i32, n1: i32, scratch: usize): void {
  const panelA = scratch + 131072;
  const spare = panelA + 4096;
  for (let k0 = 0; k0 < K; k0 += KC) {
    const kc = min(KC, K - k0);
    packB(scratch, b, mode, N, K, n0, n1, k0, kc);
    for (let m = m0; m < m1; m += 4) {
      const rows = min(4, m1 - m);
      let a0 = panelA, a1 = panelA + 4, a2 = panelA + 8, a3 = panelA + 12;
      let step: usize = 16;
      if (mode == 2) {
        for (let k = 0; k < kc; k++) for (let i = 0; i < 4; i++) store<f32>(at(panelA, k * 4 + i), load<f32>(at(a, (k0 + k) * M + m + min(i, rows - 1))));
      } else {
        step = 4;
        a0 = at(a, m * K + k0);
        a1 = at(a, (m + min(1, rows - 1)) * K + k0);
        a2 = at(a, (m + min(2, rows - 1)) * K + k0);
        a3 = at(a, (m + min(3, rows - 1)) * K + k0);
      }
      let panel = scratch;
      for (let n = n0; n < n1; n += 8, panel += <usize>kc << 5) {
        const target = at(c, m * N + n);
        const columns = min(8, n1 - n);
        if (rows == 4 && columns == 8) tile(kc, a0, a1, a2, a3, step, panel, target, <usize>N << 2);
        else {
          for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) store<f32>(at(spare, i * 8 + j), load<f32>(at(target, i * N + j)));
          tile(kc, a0, a1, a2, a3, step, panel, spare, 32);
          for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) store<f32>(at(target, i * N + j), load<f32>(at(spare, i * 8 + j)));
        }
      }
    }
  }
}

export function gemmRun(job: usize, chunk: i32, scratch: usize, biased: bool): void {
  const M = word(job, 0), N = word(job, 1), K = word(job, 2);
  const width = blockColumns(M);
  const across = divideUp(N, width);
  const m0 = (chunk / across) * ROWS, n0 = (chunk % across) * width;
  const m1 = min(M, m0 + ROWS), n1 = min(N, n0 + width);
  const c = pointer(job, biased ? 3 : 2);
  const bytes = <usize>(n1 - n0) << 2;
  for (let m = m0; m < m1; m++) {
    if (biased) memory.copy(at(c, m * N + n0), at(pointer(job, 2), n0), bytes);
    else if (word(job, 4) == 0) memory.fill(at(c, m * N + n0), 0, bytes);
  }
  blocks(pointer(job, 0), pointer(job, 1), c, M, N, K, word(job, 3), m0, m1, n0, n1, scratch);
}
