// Gradient of the root-mean-square norm's weight, always added: dw += sum over rows, in order, of x * rstd * dy.
// x, dy [rows, width]; rstd [rows]; dw [width]. Words: rows, width. One thread a column.
struct Words { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main_rms_norm_dw(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let column = (group.x + group.y * groups.x) * 64u + lane;
  if (column >= words.width) { return; }
  var sum = dw[column];
  for (var row = 0u; row < words.rows; row++) {
    let i = row * words.width + column;
    sum += x[i] * rstd[row] * dy[i];
  }
  dw[column] = sum;
}
