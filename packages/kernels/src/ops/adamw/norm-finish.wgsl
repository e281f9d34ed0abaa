// norm[0] = square root of the sum of the partial sums. partial [n]; norm [1]. Words: n. A single workgroup.
struct Words { n: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> partial_sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;

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
fn main_norm_finish(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < words.n; i += 64u) { sum += partial_sums[i]; }
  let total = sum_lanes(sum, lane);
  if (lane == 0u) { norm[0] = sqrt(total); }
}
