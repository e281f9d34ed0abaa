// Rotary positions, split halves: y_i = x_i cos_i - sign x_{i+C/2} sin_i, y_{i+C/2} = x_{i+C/2} cos_i + sign x_i sin_i.
// x, y [rows, heads*C]; cos, sin [rows, C/2]. Words: rows, heads, C, sign (-1: the inverse). One thread a pair of channels.
struct Words { rows: u32, heads: u32, C: u32, sign: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> cosines: array<f32>;
@group(0) @binding(3) var<storage, read_write> sines: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main_rope(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let pair = (group.x + group.y * groups.x) * 64u + lane;
  let pairs = words.C / 2u;
  if (pair >= words.rows * words.heads * pairs) { return; }
  let head = pair / pairs;
  let channel = pair % pairs;
  let angle = head / words.heads * pairs + channel;
  let i = head * words.C + channel;
  let c = cosines[angle];
  let s = words.sign * sines[angle];
  let a = x[i];
  let b = x[i + pairs];
  y[i] = a * c - b * s;
  y[i + pairs] = b * c + a * s;
}
