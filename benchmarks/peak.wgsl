// Fused multiply-adds that stay in registers: what an adapter can do at most in WGSL. Eight accumulators of four lanes hide the latency; 64 operations a round.
// The number of rounds is not a constant: software drivers unroll what they can.
struct Words { rounds: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn peak(@builtin(global_invocation_id) thread: vec3u) {
  // values that grow by their product stay far from overflow and denormals; of the thread, so that none is known beforehand
  let factor = vec4f(0.999 - f32(thread.x) * 1e-9);
  let term = vec4f(0.001);
  var c0 = vec4f(0.0); var c1 = vec4f(0.1); var c2 = vec4f(0.2); var c3 = vec4f(0.3);
  var c4 = vec4f(0.4); var c5 = vec4f(0.5); var c6 = vec4f(0.6); var c7 = vec4f(0.7);
  for (var i = 0u; i < words.rounds; i++) {
    c0 = fma(c0, factor, term); c1 = fma(c1, factor, term); c2 = fma(c2, factor, term); c3 = fma(c3, factor, term);
    c4 = fma(c4, factor, term); c5 = fma(c5, factor, term); c6 = fma(c6, factor, term); c7 = fma(c7, factor, term);
  }
  let sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
  out[thread.x] = sum.x + sum.y + sum.z + sum.w;
}
