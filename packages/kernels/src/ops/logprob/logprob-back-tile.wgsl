// Turns a tile of logits into its gradient, in place: dz = invTemperature (dlogp (onehot - p) - dentropy p (log p + entropy)).
// logits [rows, tileWidth]; targets i32 [rows]; out [rows, 4] = log-probability, entropy, log-sum-exp, 0; dout [rows, 2] = dlogp, dentropy.
// Words: rows, tileWidth, tileStart, vocab (ids from there on get 0), invTemperature. One thread an element.
struct Words { rows: u32, tileWidth: u32, tileStart: u32, vocab: u32, invTemperature: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<i32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dout: array<vec2f>;

@compute @workgroup_size(64)
fn main_logprob_back_tile(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.x + group.y * groups.x) * 64u + lane;
  if (index >= words.rows * words.tileWidth) { return; }
  let row = index / words.tileWidth;
  let id = words.tileStart + index % words.tileWidth;
  var d = 0.0;
  if (id < words.vocab) {
    let logp = logits[index] * words.invTemperature - out[row].z;
    let p = exp(logp);
    let chosen = select(0.0, 1.0, i32(id) == targets[row]);
    d = words.invTemperature * (dout[row].x * (chosen - p) - dout[row].y * p * (logp + out[row].y));
  }
  logits[index] = d;
}
