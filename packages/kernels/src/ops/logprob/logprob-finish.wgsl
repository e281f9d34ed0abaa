// Log-probability and entropy from the sums over all tiles.
// state [rows, 4] = m, s, t, z of the target; out [rows, 4] = log-probability, entropy, log-sum-exp, 0 (nats). Words: rows. One thread a row.
struct Words { rows: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> state: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(64)
fn main_logprob_finish(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (group.x + group.y * groups.x) * 64u + lane;
  if (row >= words.rows) { return; }
  let sums = state[row];
  // A NaN among the logits is always one in t; a device's exp and log may make anything else of it.
  if ((bitcast<u32>(sums.z) & 0x7fffffffu) > 0x7f800000u) {
    out[row] = vec4f(sums.zzz, 0.0);
    return;
  }
  let lse = sums.x + log(sums.y);
  out[row] = vec4f(sums.w - lse, lse - sums.z / sums.y, lse, 0.0);
}
