// Gradients of layer norm's weight and bias, always added, rows in order: dw += sum (x - mean) rstd dy, db += sum dy.
// x, dy [rows, width]; stats [rows, 2] = mean, rstd; dw, db [width]. Words: rows, width. One thread a column.
struct Words { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(64)
fn main_layer_norm_dw(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let column = (group.x + group.y * groups.x) * 64u + lane;
  if (column >= words.width) { return; }
  var weight = dw[column];
  var bias = db[column];
  for (var row = 0u; row < words.rows; row++) {
    let i = row * words.width + column;
    weight += (x[i] - stats[row * 2u]) * stats[row * 2u + 1u] * dy[i];
    bias += dy[i];
  }
  dw[column] = weight;
  db[column] = bias;
}
