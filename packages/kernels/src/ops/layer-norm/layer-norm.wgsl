// Layer norm of each row: y = (x - mean) * rstd * w + b, rstd = 1 / sqrt(mean((x - mean)^2) + eps).
// x, y [rows, width]; w, b [width]; stats [rows, 2] = mean, rstd. Words: rows, width, eps. One workgroup a row.
struct Words { rows: u32, width: u32, eps: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;

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
fn main_layer_norm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let first = row * words.width;
  var sum = 0.0;
  for (var i = lane; i < words.width; i += 64u) { sum += x[first + i]; }
  let mean = sum_lanes(sum, lane) / f32(words.width);
  var squares = 0.0;
  for (var i = lane; i < words.width; i += 64u) {
    let d = x[first + i] - mean;
    squares += d * d;
  }
  let rstd = 1.0 / sqrt(sum_lanes(squares, lane) / f32(words.width) + words.eps);
  if (lane == 0u) {
    stats[row * 2u] = mean;
    stats[row * 2u + 1u] = rstd;
  }
  for (var i = lane; i < words.width; i += 64u) { y[first + i] = (x[first + i] - mean) * rstd * w[i] + b[i]; }
}
