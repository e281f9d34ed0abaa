// Gradient of layer norm's input: with g = w dy and h = (x - mean) rstd, dx = rstd (g - mean(g) - h mean(g h)), added where acc is 1.
// x, dy, dx [rows, width]; w [width]; stats [rows, 2] = mean, rstd. Words: rows, width, acc. One workgroup a row.
struct Words { rows: u32, width: u32, acc: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;
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
fn main_layer_norm_dx(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let first = row * words.width;
  let mean = stats[row * 2u];
  let rstd = stats[row * 2u + 1u];
  var sum = 0.0;
  var products = 0.0;
  for (var i = lane; i < words.width; i += 64u) {
    let g = w[i] * dy[first + i];
    sum += g;
    products += g * (x[first + i] - mean) * rstd;
  }
  let meanG = sum_lanes(sum, lane) / f32(words.width);
  let meanGH = sum_lanes(products, lane) / f32(words.width);
  for (var i = lane; i < words.width; i += 64u) {
    var d = rstd * (w[i] * dy[first + i] - meanG - (x[first + i] - mean) * rstd * meanGH);
    if (words.acc != 0u) { d += dx[first + i]; }
    dx[first + i] = d;
  }
}
