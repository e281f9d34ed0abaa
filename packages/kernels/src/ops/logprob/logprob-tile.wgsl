// Takes one vocabulary tile into the running softmax sums of each row, z = logit * invTemperature.
// logits [rows, tileWidth]; targets i32 [rows]; state [rows, 4] = max m, s = sum e^{z-m}, t = sum e^{z-m} z, z of the target.
// Words: rows, tileWidth, tileStart (the tile's first id), first (1: no state yet), vocab (ids from there on are ignored), invTemperature.
// One workgroup a row.
struct Words { rows: u32, tileWidth: i32, tileStart: i32, first: u32, vocab: i32, invTemperature: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<i32>;
@group(0) @binding(3) var<storage, read_write> state: array<vec4f>;

const LOWEST = -3.4028234e38;
var<workgroup> peaks: array<f32, 64>;
var<workgroup> sums: array<vec2f, 64>;

@compute @workgroup_size(64)
fn main_logprob_tile(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let first = i32(row) * words.tileWidth;
  let columns = min(words.tileWidth, words.vocab - words.tileStart);
  var before = vec4f(LOWEST, 0.0, 0.0, 0.0);
  if (words.first == 0u) { before = state[row]; }

  var peak = before.x;
  for (var i = i32(lane); i < columns; i += 64) { peak = max(peak, logits[first + i] * words.invTemperature); }
  peaks[lane] = peak;
  for (var stride = 32u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { peaks[lane] = max(peaks[lane], peaks[lane + stride]); }
  }
  workgroupBarrier();
  peak = peaks[0];

  var sum = vec2f(0.0);
  for (var i = i32(lane); i < columns; i += 64) {
    let z = logits[first + i] * words.invTemperature;
    let e = exp(z - peak);
    sum += vec2f(e, e * z);
  }
  sums[lane] = sum;
  for (var stride = 32u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { sums[lane] += sums[lane + stride]; }
  }
  if (lane != 0u) { return; }
  // e^0 is 1 by rule, not by the device's exp: a tile below the maximum leaves the sums' scale as it is.
  var shrink = 1.0;
  if (before.x != peak) { shrink = exp(max(before.x - peak, -100.0)); }
  let total = before.yz * shrink + sums[0];
  let column = targets[row] - words.tileStart;
  var chosen = before.w;
  if (column >= 0 && column < columns) { chosen = logits[first + column] * words.invTemperature; }
  state[row] = vec4f(peak, total, chosen);
}
