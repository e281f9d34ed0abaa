// Gradient of attention's q: dq = scale * sum over the row's keys of p (do v - delta) k, with p = e^(q k scale - lse).
// q, do, dq [rows, H*C]; k, v [kvRows, K*C]; stats [rows, 2H] = lse of each head, delta of each head; spans as in attention.wgsl.
// Words: rows, H, K, C (at most 128), scale, pairsOffset. One thread a (row, head), key after key.
struct Words { rows: u32, H: u32, K: u32, C: u32, scale: f32, pairsOffset: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> dO: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> spans: array<i32>;
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;

/// Four channels from element i on, of which `left` are the head's; the rest are 0.
fn query4(i: u32, left: u32) -> vec4f {
  if (left >= 4u) { return vec4f(q[i], q[i + 1u], q[i + 2u], q[i + 3u]); }
  var x = vec4f(q[i], 0.0, 0.0, 0.0);
  if (left > 1u) { x.y = q[i + 1u]; }
  if (left > 2u) { x.z = q[i + 2u]; }
  return x;
}
fn key4(i: u32, left: u32) -> vec4f {
  if (left >= 4u) { return vec4f(k[i], k[i + 1u], k[i + 2u], k[i + 3u]); }
  var x = vec4f(k[i], 0.0, 0.0, 0.0);
  if (left > 1u) { x.y = k[i + 1u]; }
  if (left > 2u) { x.z = k[i + 2u]; }
  return x;
}
fn value4(i: u32, left: u32) -> vec4f {
  if (left >= 4u) { return vec4f(v[i], v[i + 1u], v[i + 2u], v[i + 3u]); }
  var x = vec4f(v[i], 0.0, 0.0, 0.0);
  if (left > 1u) { x.y = v[i + 1u]; }
  if (left > 2u) { x.z = v[i + 2u]; }
  return x;
}
fn dO4(i: u32, left: u32) -> vec4f {
  if (left >= 4u) { return vec4f(dO[i], dO[i + 1u], dO[i + 2u], dO[i + 3u]); }
  var x = vec4f(dO[i], 0.0, 0.0, 0.0);
  if (left > 1u) { x.y = dO[i + 1u]; }
  if (left > 2u) { x.z = dO[i + 2u]; }
  return x;
}
fn store4(i: u32, left: u32, x: vec4f) {
  dq[i] = x.x;
  if (left > 1u) { dq[i + 1u] = x.y; }
  if (left > 2u) { dq[i + 2u] = x.z; }
  if (left > 3u) { dq[i + 3u] = x.w; }
}

@compute @workgroup_size(64)
fn main_attention_dq(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.x + group.y * groups.x) * 64u + lane;
  if (index >= words.rows * words.H) { return; }
  let C = words.C;
  let row = index / words.H;
  let head = index % words.H;
  let kvHead = head / (words.H / words.K);
  let lse = stats[row * 2u * words.H + head];
  let delta = stats[(row * 2u + 1u) * words.H + head];
  var query: array<vec4f, 32>;
  var gradient: array<vec4f, 32>;
  var sums: array<vec4f, 32>;
  for (var c = 0u; c < C; c += 4u) {
    query[c / 4u] = query4(index * C + c, C - c);
    gradient[c / 4u] = dO4(index * C + c, C - c);
    sums[c / 4u] = vec4f(0.0);
  }
  for (var span = spans[row]; span < spans[row + 1u]; span++) {
    let pair = words.pairsOffset + u32(span) * 2u;
    let stop = spans[pair] + spans[pair + 1u];
    for (var key = spans[pair]; key < stop; key++) {
      let first = (u32(key) * words.K + kvHead) * C;
      var score = 0.0;
      var dp = 0.0;
      for (var c = 0u; c < C; c += 4u) {
        score += dot(query[c / 4u], key4(first + c, C - c));
        dp += dot(gradient[c / 4u], value4(first + c, C - c));
      }
      let ds = exp(score * words.scale - lse) * (dp - delta);
      for (var c = 0u; c < C; c += 4u) { sums[c / 4u] += ds * key4(first + c, C - c); }
    }
  }
  for (var c = 0u; c < C; c += 4u) { store4(index * C + c, C - c, sums[c / 4u] * words.scale); }
}
