// First step of attention's backward: stats[row, H + h] = sum over the head's channels of do * o.
// o, do [rows, H*C]; stats [rows, 2H]. Words: rows, H, C. One thread a (row, head).
struct Words { rows: u32, H: u32, C: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> o: array<f32>;
@group(0) @binding(2) var<storage, read_write> dO: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main_attention_delta(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.x + group.y * groups.x) * 64u + lane;
  if (index >= words.rows * words.H) { return; }
  let first = index * words.C;
  var sum = 0.0;
  for (var c = 0u; c < words.C; c++) { sum += o[first + c] * dO[first + c]; }
  stats[(index / words.H * 2u + 1u) * words.H + index % words.H] = sum;
}
