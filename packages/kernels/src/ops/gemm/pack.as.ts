// Copies for the tiles: B in panels of 8 columns, k by k, zero beyond its edge; A of mode 2 (A[K, M]) as rows of kc. Nothing is computed here.
import { at } from "../../../assembly/math";

/** Panels of columns n0 to n1, rows k0 to k0 + kc of op(B): B[N, K] in mode 0, else B[K, N]. */
export function packB(panel: usize, b: usize, mode: i32, N: i32, K: i32, n0: i32, n1: i32, k0: i32, kc: i32): void {
  const size = <usize>kc << 5;
  for (let n = n0; n < n1; n += 8, panel += size) {
    const columns = min(8, n1 - n), source = at(b, k0 * N + n);
    if (mode == 0) packTransposed(panel, b, K, n, columns, k0, kc);
    else if (columns < 8) packEdge(panel, source, N, columns, kc);
    else if (n1 - n < 16) packPanel(panel, source, <usize>N << 2, kc);
    else {
      packTwoPanels(panel, source, <usize>N << 2, kc, size);
      n += 8;
      panel += size;
    }
  }
}

/** Two panels at once read whole cache lines. */
function packTwoPanels(panel: usize, source: usize, stride: usize, kc: i32, size: usize): void {
  for (let second = panel + size; kc > 0; kc--, panel += 32, second += 32, source += stride) {
    v128.store(panel, v128.load(source));
    v128.store(panel, v128.load(source, 16), 16);
    v128.store(second, v128.load(source, 32));
    v128.store(second, v128.load(source, 48), 16);
  }
}

function packPanel(panel: usize, source: usize, stride: usize, kc: i32): void {
  for (; kc > 0; kc--, panel += 32, source += stride) {
    v128.store(panel, v128.load(source));
    v128.store(panel, v128.load(source, 16), 16);
  }
}

function packEdge(panel: usize, source: usize, N: i32, columns: i32, kc: i32): void {
  for (; kc > 0; kc--, panel += 32, source += <usize>N << 2)
    for (let j = 0; j < 8; j++) store<f32>(at(panel, j), j < columns ? load<f32>(at(source, j)) : 0);
}

function packTransposed(panel: usize, b: usize, K: i32, n: i32, columns: i32, k0: i32, kc: i32): void {
  for (let j = 0; j < 8; j += 4) {
    let k = 0;
    if (j + 4 <= columns) for (; k + 4 <= kc; k += 4) transpose(at(b, (n + j) * K + k0 + k), <usize>K << 2, at(panel, k * 8 + j), 32);
    for (; k < kc; k++) for (let i = j; i < j + 4; i++) store<f32>(at(panel, k * 8 + i), i < columns ? load<f32>(at(b, (n + i) * K + k0 + k)) : 0);
  }
}

/** Rows m to m + rows of A[K, M]^T, k0 to k0 + kc, each row contiguous. Four by four, along the rows of A. */
export function packA(panel: usize, a: usize, M: i32, m: i32, rows: i32, k0: i32, kc: i32): void {
  const source = at(a, k0 * M + m), fours = rows & ~3;
  let k = 0;
  for (; k + 4 <= kc; k += 4)
    for (let i = 0; i < fours; i += 4) transpose(at(source, k * M + i), <usize>M << 2, at(panel, i * kc + k), <usize>kc << 2);
  for (; k < kc; k++) for (let i = 0; i < fours; i++) store<f32>(at(panel, i * kc + k), load<f32>(at(source, k * M + i)));
  for (let i = fours; i < rows; i++) for (k = 0; k < kc; k++) store<f32>(at(panel, i * kc + k), load<f32>(at(source, k * M + i)));
}

/** A block of 4 by 4; strides in bytes. */
// @ts-ignore: decorator
@inline function transpose(x: usize, stride: usize, y: usize, step: usize): void {
  const x0 = v128.load(x), x1 = v128.load(x + stride), x2 = v128.load(x + stride * 2), x3 = v128.load(x + stride * 3);
  const t0 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
  const t2 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
  v128.store(y, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
  v128.store(y + step, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
  v128.store(y + step * 2, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
  v128.store(y + step * 3, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
}
