// C = A·B^T + bias: gemm.wgsl for mode 0, with the column's bias added last.
struct Words { M: u32, N: u32, K: u32, mode: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

const DEPTH = 16u; // k's held at a time
const STRIDE = 65u; // of a k in workgroup memory; 64 + 1 spreads the banks
var<workgroup> tileA: array<f32, 1040>; // [DEPTH, STRIDE]
var<workgroup> tileB: array<f32, 1040>;

fn loadA(row: u32, k: u32) -> f32 {
  if (row >= words.M || k >= words.K) { return 0.0; }
  return a[row * words.K + k];
}
fn loadB(column: u32, k: u32) -> f32 {
  if (column >= words.N || k >= words.K) { return 0.0; }
  return b[column * words.K + k];
}

fn storeRow(row: u32, column: u32, left: vec4f, right: vec4f) {
  let at = row * words.N + column;
  if (column < words.N) { c[at] = left.x + bias[column]; }
  if (column + 8u < words.N) { c[at + 8u] = left.y + bias[column + 8u]; }
  if (column + 16u < words.N) { c[at + 16u] = left.z + bias[column + 16u]; }
  if (column + 24u < words.N) { c[at + 24u] = left.w + bias[column + 24u]; }
  if (column + 32u < words.N) { c[at + 32u] = right.x + bias[column + 32u]; }
  if (column + 40u < words.N) { c[at + 40u] = right.y + bias[column + 40u]; }
  if (column + 48u < words.N) { c[at + 48u] = right.z + bias[column + 48u]; }
  if (column + 56u < words.N) { c[at + 56u] = right.w + bias[column + 56u]; }
}

@compute @workgroup_size(8, 8)
fn main_gemm_bias(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.y * 64u;
  let column0 = group.x * 64u;
  let row = row0 + thread.y * 8u;
  let column = column0 + thread.x;
  // threads without a row, and halves without a column, are spared the sums: small products are mostly those
  let narrow = column0 + 32u >= words.N;
  // left: columns +0 +8 +16 +24; right: +32 +40 +48 +56
  var l0 = vec4f(); var r0 = vec4f();
  var l1 = vec4f(); var r1 = vec4f();
  var l2 = vec4f(); var r2 = vec4f();
  var l3 = vec4f(); var r3 = vec4f();
  var l4 = vec4f(); var r4 = vec4f();
  var l5 = vec4f(); var r5 = vec4f();
  var l6 = vec4f(); var r6 = vec4f();
  var l7 = vec4f(); var r7 = vec4f();
  for (var k0 = 0u; k0 < words.K; k0 += DEPTH) {
    for (var e = lane; e < 1024u; e += 64u) {
      let line = e / DEPTH;
      let k = e % DEPTH;
      tileA[k * STRIDE + line] = loadA(row0 + line, k0 + k);
      tileB[k * STRIDE + line] = loadB(column0 + line, k0 + k);
    }
    workgroupBarrier();
    let depth = select(0u, min(DEPTH, words.K - k0), row < words.M);
    for (var k = 0u; k < depth; k++) {
      let y = k * STRIDE + thread.y * 8u;
      let x = k * STRIDE + thread.x;
      let left = vec4f(tileB[x], tileB[x + 8u], tileB[x + 16u], tileB[x + 24u]);
      let a0 = tileA[y]; l0 += a0 * left;
      let a1 = tileA[y + 1u]; l1 += a1 * left;
      let a2 = tileA[y + 2u]; l2 += a2 * left;
      let a3 = tileA[y + 3u]; l3 += a3 * left;
      let a4 = tileA[y + 4u]; l4 += a4 * left;
      let a5 = tileA[y + 5u]; l5 += a5 * left;
      let a6 = tileA[y + 6u]; l6 += a6 * left;
      let a7 = tileA[y + 7u]; l7 += a7 * left;
      if (narrow) { continue; }
      let right = vec4f(tileB[x + 32u], tileB[x + 40u], tileB[x + 48u], tileB[x + 56u]);
      r0 += a0 * right; r1 += a1 * right;
      r2 += a2 * right; r3 += a3 * right;
      r4 += a4 * right; r5 += a5 * right;
      r6 += a6 * right; r7 += a7 * right;
    }
    workgroupBarrier();
  }
  var left = array<vec4f, 8>(l0, l1, l2, l3, l4, l5, l6, l7);
  var right = array<vec4f, 8>(r0, r1, r2, r3, r4, r5, r6, r7);
  let end = min(row + 8u, words.M);
  for (var at = row; at < end; at++) { storeRow(at, column, left[at - row], right[at - row]); }
}
