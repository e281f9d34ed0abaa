// y = x * Phi(x); kind 0: by tanh, 1: by erf.
struct Words { n: u32, kind: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Abramowitz and Stegun 7.1.26, error 1.5e-7
fn erf(x: f32) -> f32 {
  let m = abs(x);
  let t = 1.0 / (1.0 + 0.3275911 * m);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  let e = 1.0 - p * exp(-m * m);
  return select(e, -e, x < 0.0);
}
// e^80 is finite in f32: no implementation may make a NaN of it
fn tanhOf(x: f32) -> f32 {
  return 1.0 - 2.0 / (exp(min(2.0 * x, 80.0)) + 1.0);
}

@compute @workgroup_size(64)
fn main_gelu(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.n) { return; }
  let v = x[i];
  var inner: f32;
  if (words.kind == 0u) {
    inner = tanhOf(0.7978845608 * (v + 0.044715 * v * v * v));
  } else {
    inner = erf(v * 0.7071067812);
  }
  y[i] = 0.5 * v * (1.0 + inner);
}
