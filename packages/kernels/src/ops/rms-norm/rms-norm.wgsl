// Root-mean-square norm of each row: y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps).
// x, y [rows, width]; w [width]; rstd [rows]. Words: rows, width, eps. One workgroup a row.
struct Words { rows: u32, width: u32, eps: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;

var<workgroup> lanes: array<f32, 64>;

/// Sum over the 64 lanes, the same tree each time; every lane gets it.
fn sum_lanes(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  lanes[lane] = value;
  for (var stride = 32u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { lanes[lane] += lanes[lane + stride]; }
  }
  workgroupBarrier();
  return lanes[0];
}

@compute @workgroup_size(64)
fn main_rms_norm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let first = row * words.width;
  var squares = 0.0;
  for (var i = lane; i < words.width; i += 64u) { squares += x[first + i] * x[first + i]; }
  let r = 1.0 / sqrt(sum_lanes(squares, lane) / f32(words.width) + words.eps);
  if (lane == 0u) { rstd[row] = r; }
  for (var i = lane; i < words.width; i += 64u) { y[first + i] = x[first + i] * r * w[i]; }
}
