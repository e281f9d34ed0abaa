// Gradients of attention's k and v: over the queries that see a key, dk = scale * sum p (do v - delta) q and dv = sum p do,
// with p = e^(q k scale - lse). q, do [rows, H*C]; k, v, dk, dv [kvRows, K*C]; stats [rows, 2H] = lse of each head, delta of each head;
// queries i32 [kvRows, 2] = rows of q, [start, end), that see the kv row. Words: kvRows, H, K, C (at most 128), scale.
// One thread a (kv row, kv head): its heads in order, for each the queries in order.
struct Words { kvRows: u32, H: u32, K: u32, C: u32, scale: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> dO: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> queries: array<i32>;
@group(0) @binding(7) var<storage, read_write> dk: array<f32>;
@group(0) @binding(8) var<storage, read_write> dv: array<f32>;

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
fn storeDk4(i: u32, left: u32, x: vec4f) {
  dk[i] = x.x;
  if (left > 1u) { dk[i + 1u] = x.y; }
  if (left > 2u) { dk[i + 2u] = x.z; }
  if (left > 3u) { dk[i + 3u] = x.w; }
}
fn storeDv4(i: u32, left: u32, x: vec4f) {
  dv[i] = x.x;
  if (left > 1u) { dv[i + 1u] = x.y; }
  if (left > 2u) { dv[i + 2u] = x.z; }
  if (left > 3u) { dv[i + 3u] = x.w; }
}

@compute @workgroup_size(64)
fn main_attention_dkv(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.x + group.y * groups.x) * 64u + lane;
  if (index >= words.kvRows * words.K) { return; }
  let C = words.C;
  let row = index / words.K;
  let heads = words.H / words.K;
  let firstHead = index % words.K * heads;
  var key: array<vec4f, 32>;
  var value: array<vec4f, 32>;
  var keySums: array<vec4f, 32>;
  var valueSums: array<vec4f, 32>;
  for (var c = 0u; c < C; c += 4u) {
    key[c / 4u] = key4(index * C + c, C - c);
    value[c / 4u] = value4(index * C + c, C - c);
    keySums[c / 4u] = vec4f(0.0);
    valueSums[c / 4u] = vec4f(0.0);
  }
  for (var head = firstHead; head < firstHead + heads; head++) {
    for (var query = queries[row * 2u]; query < queries[row * 2u + 1u]; query++) {
      let first = (u32(query) * words.H + head) * C;
      let stat = u32(query) * 2u * words.H + head;
      var score = 0.0;
      var dp = 0.0;
      for (var c = 0u; c < C; c += 4u) {
        score += dot(key[c / 4u], query4(first + c, C - c));
        dp += dot(value[c / 4u], dO4(first + c, C - c));
      }
      let p = exp(score * words.scale - stats[stat]);
      let ds = p * (dp - stats[stat + words.H]) * words.scale;
      for (var c = 0u; c < C; c += 4u) {
        keySums[c / 4u] += ds * query4(first + c, C - c);
        valueSums[c / 4u] += p * dO4(first + c, C - c);
      }
    }
  }
  for (var c = 0u; c < C; c += 4u) {
    storeDk4(index * C + c, C - c, keySums[c / 4u]);
    storeDv4(index * C + c, C - c, valueSums[c / 4u]);
  }
}
