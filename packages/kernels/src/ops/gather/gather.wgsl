// y[row] = (y[row] +) sum of the table rows its CSR entries name, in order; a thread has an element.
struct Words { rows: u32, width: u32, colsOffset: u32, acc: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> csr: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main_gather(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.rows * words.width) { return; }
  let row = i / words.width;
  let column = i % words.width;
  var sum = 0.0;
  if (words.acc != 0u) { sum = y[i]; }
  let end = u32(csr[row + 1u]);
  for (var entry = u32(csr[row]); entry < end; entry++) {
    let source = u32(csr[words.colsOffset + entry]);
    sum += table[source * words.width + column];
  }
  y[i] = sum;
}
