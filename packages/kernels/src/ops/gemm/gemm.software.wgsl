// gemm.wgsl for drivers that run on the CPU: a thread makes 8 x 8 neighbouring elements of C from memory itself, for there the caches
// do the work of workgroup memory, and copying and barriers cost. Rows and columns beyond the edge are read as the last one and not written, so that
// the loop over k has no branch. Each element is summed over k in order, then added to C if asked.
struct Words { M: u32, N: u32, K: u32, mode: u32, acc: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

fn storeFour(row: u32, column: u32, sums: vec4f) {
  let end = min(column + 4u, words.N);
  for (var at = column; at < end; at++) {
    let to = row * words.N + at;
    if (words.acc != 0u) { c[to] += sums[at - column]; } else { c[to] = sums[at - column]; }
  }
}

@compute @workgroup_size(8, 8)
fn main_gemm(@builtin(global_invocation_id) thread: vec3u) {
  let row = thread.y * 8u;
  let column = thread.x * 8u;
  if (row >= words.M || column >= words.N) { return; }
  let rowStep = select(words.K, 1u, words.mode == 2u);
  let kStepA = select(1u, words.M, words.mode == 2u);
  let columnStep = select(1u, words.K, words.mode == 0u);
  let kStepB = select(words.N, 1u, words.mode == 0u);
  let lastRow = words.M - 1u;
  let lastColumn = words.N - 1u;
  // where each row of A and each column of B starts
  let y0 = min(row + 0u, lastRow) * rowStep;
  let y1 = min(row + 1u, lastRow) * rowStep;
  let y2 = min(row + 2u, lastRow) * rowStep;
  let y3 = min(row + 3u, lastRow) * rowStep;
  let y4 = min(row + 4u, lastRow) * rowStep;
  let y5 = min(row + 5u, lastRow) * rowStep;
  let y6 = min(row + 6u, lastRow) * rowStep;
  let y7 = min(row + 7u, lastRow) * rowStep;
  let x0 = min(column + 0u, lastColumn) * columnStep;
  let x1 = min(column + 1u, lastColumn) * columnStep;
  let x2 = min(column + 2u, lastColumn) * columnStep;
  let x3 = min(column + 3u, lastColumn) * columnStep;
  let x4 = min(column + 4u, lastColumn) * columnStep;
  let x5 = min(column + 5u, lastColumn) * columnStep;
  let x6 = min(column + 6u, lastColumn) * columnStep;
  let x7 = min(column + 7u, lastColumn) * columnStep;
  var l0 = vec4f(); var r0 = vec4f();
  var l1 = vec4f(); var r1 = vec4f();
  var l2 = vec4f(); var r2 = vec4f();
  var l3 = vec4f(); var r3 = vec4f();
  var l4 = vec4f(); var r4 = vec4f();
  var l5 = vec4f(); var r5 = vec4f();
  var l6 = vec4f(); var r6 = vec4f();
  var l7 = vec4f(); var r7 = vec4f();
  var ka = 0u;
  var kb = 0u;
  for (var k = 0u; k < words.K; k++) {
    let left = vec4f(b[x0 + kb], b[x1 + kb], b[x2 + kb], b[x3 + kb]);
    let right = vec4f(b[x4 + kb], b[x5 + kb], b[x6 + kb], b[x7 + kb]);
    let a0 = a[y0 + ka]; l0 += a0 * left; r0 += a0 * right;
    let a1 = a[y1 + ka]; l1 += a1 * left; r1 += a1 * right;
    let a2 = a[y2 + ka]; l2 += a2 * left; r2 += a2 * right;
    let a3 = a[y3 + ka]; l3 += a3 * left; r3 += a3 * right;
    let a4 = a[y4 + ka]; l4 += a4 * left; r4 += a4 * right;
    let a5 = a[y5 + ka]; l5 += a5 * left; r5 += a5 * right;
    let a6 = a[y6 + ka]; l6 += a6 * left; r6 += a6 * right;
    let a7 = a[y7 + ka]; l7 += a7 * left; r7 += a7 * right;
    ka += kStepA;
    kb += kStepB;
  }
  var left = array<vec4f, 8>(l0, l1, l2, l3, l4, l5, l6, l7);
  var right = array<vec4f, 8>(r0, r1, r2, r3, r4, r5, r6, r7);
  let end = min(row + 8u, words.M);
  for (var at = row; at < end; at++) {
    storeFour(at, column, left[at - row]);
    storeFour(at, column + 4u, right[at - row]);
  }
}
