// y = silu(g) * u.
struct Words { n: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// e^80 is finite in f32: no implementation may make a NaN of it
fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(min(-x, 80.0)));
}

@compute @workgroup_size(64)
fn main_swiglu(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.n) { return; }
  y[i] = g[i] * sigmoid(g[i]) * u[i];
}
