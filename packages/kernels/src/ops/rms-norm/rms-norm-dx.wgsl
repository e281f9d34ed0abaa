// Gradient of the root-mean-square norm's input: dx = rstd * (w dy - x * rstd^2 * mean(w dy x)), added to dx where acc is 1.
// x, dy, dx [rows, width]; w [width]; rstd [rows]. Words: rows, width, acc. One workgroup a row.
struct Words { rows: u32, width: u32, acc: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

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
fn main_rms_norm_dx(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let first = row * words.width;
  let r = rstd[row];
  var products = 0.0;
  for (var i = lane; i < words.width; i += 64u) { products += w[i] * dy[first + i] * x[first + i]; }
  let mean = sum_lanes(products, lane) * r * r / f32(words.width);
  for (var i = lane; i < words.width; i += 64u) {
    var d = r * (w[i] * dy[first + i] - x[first + i] * mean);
    if (words.acc != 0u) { d += dx[first + i]; }
    dx[first + i] = d;
  }
}
