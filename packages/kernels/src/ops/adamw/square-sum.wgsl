// partial[j] = sum of the squares of x[4096 j .. 4096 j + 4095]. x [n]; partial [ceil(n / 4096)]. Words: n. One workgroup a partial sum.
struct Words { n: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial_sums: array<f32>;

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
fn main_square_sum(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.x + group.y * groups.x;
  if (block >= (words.n + 4095u) / 4096u) { return; }
  let end = min(words.n, block * 4096u + 4096u);
  var squares = 0.0;
  for (var i = block * 4096u + lane; i < end; i += 64u) { squares += x[i] * x[i]; }
  let sum = sum_lanes(squares, lane);
  if (lane == 0u) { partial_sums[block] = sum; }
}
