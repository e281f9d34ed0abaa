// Blocked product: tiles in registers (tile.as.ts), B packed in panels of 8 columns by blocks of k (pack.as.ts), for each chunk or once (packWeight). Edge tiles go through a whole tile in
// scratch. Every element is summed over k one by one, from its start (0, bias or C) on: chunks, blocks and tiles change no bit.
// Scratch: panels of B 128 KiB, rows of A 20 KiB, a tile 256 B, zeros 32 B.
import { at, divideUp, pointer, threads, wide, word } from "../../../assembly/math";
import { packA, packB } from "./pack.as";
import { strip4, strip5 } from "./tile.as";
import { pairs4, pairs5 } from "./wide.as";

const KC: i32 = 256;
const WIDTH: i32 = 128;
const PANEL_A: usize = 131072, SPARE: usize = 151552, START: usize = 151808;
/** Rows of A[K, M] that are packed at once: four tiles. */
const GROUP: i32 = 20;

/** Few rows: narrow chunks, about two for every thread or more. */
// @ts-ignore: decorator
@inline function chunkColumns(M: i32, N: i32): i32 {
  if (threads > 1 && M <= 128) return min(32, divideUp(N, 16 * threads) * 8);
  const across = divideUp(N, WIDTH);
  return divideUp(divideUp(N, across), 8) * 8;
}
/** One chunk of rows for one thread, else about four for each: panels of B are packed anew in every one. */
// @ts-ignore: decorator
@inline function chunkRows(M: i32, across: i32): i32 {
  if (threads == 1 || M <= 128) return max(1, M);
  return max(3 * GROUP, divideUp(divideUp(M, divideUp(4 * threads, across)), GROUP) * GROUP);
}

export function gemmChunks(job: usize): i32 {
  const M = word(job, 0), N = word(job, 1);
  const across = divideUp(N, chunkColumns(M, N));
  return divideUp(M, chunkRows(M, across)) * across;
}

/** `rows` rows of A, the first at a, times `panels` panels of 8 columns. */
// @ts-ignore: decorator
@inline function strip(rows: i32, panels: i32, kc: i32, a: usize, stride: usize, panel: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, cStride: usize): void {
  const last = rows - 1;
  const a1 = a + stride * min(1, last), a2 = a + stride * min(2, last), a3 = a + stride * min(3, last);
  if (rows <= 4) strip4(panels, kc, a, a1, a2, a3, panel, from, fromStep, fromStride, c, cStride);
  else strip5(panels, kc, a, a1, a2, a3, a + stride * last, panel, from, fromStep, fromStride, c, cStride);
}

/** As strip, for an even number of panels, where V8 makes 256-bit operations of it. */
// @ts-ignore: decorator
@inline function pairs(rows: i32, panels: i32, kc: i32, a: usize, stride: usize, panel: usize, from: usize, fromStep: usize, fromStride: usize, c: usize, cStride: usize): void {
  const a1 = a + stride, a2 = a1 + stride, a3 = a2 + stride;
  if (rows == 4) pairs4(panels, kc, a, a1, a2, a3, panel, from, fromStep, fromStride, c, cStride);
  else pairs5(panels, kc, a, a1, a2, a3, a3 + stride, panel, from, fromStep, fromStride, c, cStride);
}

/** A tile that is not whole. */
function edge(rows: i32, columns: i32, kc: i32, a: usize, stride: usize, panel: usize, from: usize, fromStride: usize, c: usize, cStride: usize, spare: usize): void {
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) store<f32>(at(spare, i * 8 + j), load<f32>(at(from + fromStride * i, j)));
  strip(rows, 1, kc, a, stride, panel, spare, 0, 32, spare, 32);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) store<f32>(at(c + cStride * i, j), load<f32>(at(spare, i * 8 + j)));
}

/** Blocks of k are of one length, the last one aside. */
// @ts-ignore: decorator
@inline function blockLength(K: i32): i32 { return divideUp(K, max(1, divideUp(K, KC))); }

/** All of B[N, K] as the panels that a product of mode 0 reads where its job names them (pointer 8): N rounded up to 8, times K floats. */
export function packWeight(b: usize, N: i32, K: i32, target: usize): void {
  const columns = divideUp(N, 8) * 8, block = blockLength(K);
  for (let k0 = 0; k0 < K; k0 += block) packB(at(target, k0 * columns), b, 0, N, K, 0, N, k0, min(block, K - k0));
}

export function gemm(job: usize, chunk: i32, scratch: usize): void { run(job, chunk, scratch, false); }
export function gemmBias(job: usize, chunk: i32, scratch: usize): void { run(job, chunk, scratch, true); }

function run(job: usize, chunk: i32, scratch: usize, biased: bool): void {
  const M = word(job, 0), N = word(job, 1), K = word(job, 2), mode = word(job, 3);
  const width = chunkColumns(M, N), across = divideUp(N, width), height = chunkRows(M, across);
  const m0 = (chunk / across) * height, n0 = (chunk % across) * width;
  const m1 = min(M, m0 + height), n1 = min(N, n0 + width);
  const a = pointer(job, 0), c = pointer(job, biased ? 3 : 2), stride = <usize>N << 2;
  const start = scratch + START;
  v128.store(start, f32x4.splat(0));
  v128.store(start, f32x4.splat(0), 16);
  const added = !biased && word(job, 4) != 0;
  // a sum over nothing
  if (K == 0 && !added) for (let m = m0; m < m1; m++) memory.fill(at(c, m * N + n0), 0, <usize>(n1 - n0) << 2);
  const block = blockLength(K), ready = pointer(job, 8), columns = divideUp(N, 8) * 8;
  for (let k0 = 0; k0 < K; k0 += block) {
    const kc = min(block, K - k0), old = added || k0 > 0;
    const panels = ready ? at(ready, k0 * columns + n0 * kc) : scratch;
    if (!ready) packB(scratch, pointer(job, 1), mode, N, K, n0, n1, k0, kc);
    const rowStride = <usize>(mode == 2 ? kc : K) << 2;
    let packed = m0, group = m0;
    for (let m = m0, rows = 0; m < m1; m += rows) {
      const left = m1 - m;
      // from 12 rows on every count is a sum of fours and fives
      rows = left % 5 == 0 ? 5 : min(4, left);
      let rowsAt = at(a, m * K + k0);
      if (mode == 2) {
        if (m == packed) {
          group = m;
          packed = m + (rows == 5 ? min(GROUP, left) : rows);
          packA(scratch + PANEL_A, a, M, m, packed - m, k0, kc);
        }
        rowsAt = at(scratch + PANEL_A, (m - group) * kc);
      }
      const c0 = at(c, m * N + n0), from = old ? c0 : biased ? at(pointer(job, 2), n0) : start;
      const fromStep: usize = old || biased ? 32 : 0, fromStride = old ? stride : 0;
      const whole = rows < 4 ? 0 : (n1 - n0) >> 3;
      const paired = wide ? whole & ~1 : 0;
      if (paired > 0) pairs(rows, paired, kc, rowsAt, rowStride, panels, from, fromStep, fromStride, c0, stride);
      if (whole > paired)
        strip(rows, whole - paired, kc, rowsAt, rowStride, panels + (<usize>(paired * kc) << 5), from + fromStep * paired, fromStep, fromStride, c0 + (<usize>paired << 5), stride);
      for (let p = whole, n = n0 + whole * 8; n < n1; p++, n += 8)
        edge(rows, min(8, n1 - n), kc, rowsAt, rowStride, panels + (<usize>(p * kc) << 5), from + fromStep * p, fromStride, c0 + (<usize>p << 5), stride, scratch + SPARE);
    }
  }
}
