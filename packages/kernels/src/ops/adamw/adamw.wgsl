// AdamW step: g scaled by min(1, maxNorm / (norm + 1e-6)) (maxNorm 0: as it is), m and v updated, then
// p -= lr (m correction1 / (sqrt(v correction2) + eps) + weightDecay p), with correction = 1 / (1 - beta^t).
// p, g, m, v [n]; norm [1]. Words: n, lr, beta1, beta2, eps, weightDecay, correction1, correction2, maxNorm. One thread an element.
struct Words {
  n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, weightDecay: f32, correction1: f32, correction2: f32, maxNorm: f32,
}
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;
@group(0) @binding(2) var<storage, read_write> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(64)
fn main_adamw(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.n) { return; }
  var scale = 1.0;
  if (words.maxNorm > 0.0) { scale = min(1.0, words.maxNorm / (norm[0] + 1e-6)); }
  let d = g[i] * scale;
  let w = p[i];
  let a = words.beta1 * m[i] + (1.0 - words.beta1) * d;
  let b = words.beta2 * v[i] + (1.0 - words.beta2) * d * d;
  m[i] = a;
  v[i] = b;
  p[i] = w - words.lr * (a * words.correction1 / (sqrt(b * words.correction2) + words.eps) + words.weightDecay * w);
}
