// db += column sums of dy[rows, width], rows in order; a thread has a column.
struct Words { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(64)
fn main_column_sum(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.width) { return; }
  var sum = db[i];
  for (var row = 0u; row < words.rows; row++) { sum += dy[row * words.width + i]; }
  db[i] = sum;
}
