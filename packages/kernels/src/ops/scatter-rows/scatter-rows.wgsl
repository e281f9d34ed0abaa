// pool[dst[row]] = x[row]; a negative dst skips the row; a thread has an element.
struct Words { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dst: array<i32>;
@group(0) @binding(3) var<storage, read_write> pool: array<f32>;

@compute @workgroup_size(64)
fn main_scatter_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.rows * words.width) { return; }
  let place = dst[i / words.width];
  if (place >= 0) { pool[u32(place) * words.width + i % words.width] = x[i]; }
}
