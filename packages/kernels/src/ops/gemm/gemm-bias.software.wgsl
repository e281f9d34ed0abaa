// C = A·B^T + bias on a driver that runs on the CPU: gemm.software.wgsl for mode 0, with the column's bias added last.
struct Words { M: u32, N: u32, K: u32, mode: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

fn storeFour(row: u32, column: u32, sums: vec4f) {
  let end = min(column + 4u, words.N);
  for (var at = column; at < end; at++) { c[row * words.N + at] = sums[at - column] + bias[at]; }
}

@compute @workgroup_size(8, 8)
fn main_gemm_bias(@builtin(global_invocation_id) thread: vec3u) {
  let row = thread.y * 8u;
  let column = thread.x * 8u;
  if (row >= words.M || column >= words.N) { return; }
  let lastRow = words.M - 1u;
  let lastColumn = words.N - 1u;
  // where each row of A and each column of B starts
  let y0 = min(row + 0u, lastRow) * words.K;
  let y1 = min(row + 1u, lastRow) * words.K;
  let y2 = min(row + 2u, lastRow) * words.K;
  let y3 = min(row + 3u, lastRow) * words.K;
  let y4 = min(row + 4u, lastRow) * words.K;
  let y5 = min(row + 5u, lastRow) * words.K;
  let y6 = min(row + 6u, lastRow) * words.K;
  let y7 = min(row + 7u, lastRow) * words.K;
  let x0 = min(column + 0u, lastColumn) * words.K;
  let x1 = min(column + 1u, lastColumn) * words.K;
  let x2 = min(column + 2u, lastColumn) * words.K;
  let x3 = min(column + 3u, lastColumn) * words.K;
  let x4 = min(column + 4u, lastColumn) * words.K;
  let x5 = min(column + 5u, lastColumn) * words.K;
  let x6 = min(column + 6u, lastColumn) * words.K;
  let x7 = min(column + 7u, lastColumn) * words.K;
  var l0 = vec4f(); var r0 = vec4f();
  var l1 = vec4f(); var r1 = vec4f();
  var l2 = vec4f(); var r2 = vec4f();
  var l3 = vec4f(); var r3 = vec4f();
  var l4 = vec4f(); var r4 = vec4f();
  var l5 = vec4f(); var r5 = vec4f();
  var l6 = vec4f(); var r6 = vec4f();
  var l7 = vec4f(); var r7 = vec4f();
  for (var k = 0u; k < words.K; k++) {
    let left = vec4f(b[x0 + k], b[x1 + k], b[x2 + k], b[x3 + k]);
    let right = vec4f(b[x4 + k], b[x5 + k], b[x6 + k], b[x7 + k]);
    let a0 = a[y0 + k]; l0 += a0 * left; r0 += a0 * right;
    let a1 = a[y1 + k]; l1 += a1 * left; r1 += a1 * right;
    let a2 = a[y2 + k]; l2 += a2 * left; r2 += a2 * right;
    let a3 = a[y3 + k]; l3 += a3 * left; r3 += a3 * right;
    let a4 = a[y4 + k]; l4 += a4 * left; r4 += a4 * right;
    let a5 = a[y5 + k]; l5 += a5 * left; r5 += a5 * right;
    let a6 = a[y6 + k]; l6 += a6 * left; r6 += a6 * right;
    let a7 = a[y7 + k]; l7 += a7 * left; r7 += a7 * right;
  }
  var left = array<vec4f, 8>(l0, l1, l2, l3, l4, l5, l6, l7);
  var right = array<vec4f, 8>(r0, r1, r2, r3, r4, r5, r6, r7);
  let end = min(row + 8u, words.M);
  for (var at = row; at < end; at++) {
    storeFour(at, column, left[at - row]);
    storeFour(at, column + 4u, right[at - row]);
  }
}
