// Attention: o = softmax(q k^T scale) v of each row and head, over the keys that the row's spans name, in their order.
// q, o [rows, H*C]; k, v [kvRows, K*C]; head h reads kv head floor(h K / H). spans i32: ptr [row capacity + 1], then from pairsOffset on
// pairs (first kv row, count), row i's being ptr[i] .. ptr[i+1]. stats [rows, 2H]: column h = log-sum-exp, column H + h is left alone.
// Words: rows, H, K, C (at most 128), scale, pairsOffset.
// One thread a (row, head). One pass with a running maximum, key after key: the order of sums depends on the row's own keys only.
struct Words { rows: u32, H: u32, K: u32, C: u32, scale: f32, pairsOffset: u32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> spans: array<i32>;
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;

const LOWEST = -3.4028234e38;

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
fn store4(i: u32, left: u32, x: vec4f) {
  o[i] = x.x;
  if (left > 1u) { o[i + 1u] = x.y; }
  if (left > 2u) { o[i + 2u] = x.z; }
  if (left > 3u) { o[i + 3u] = x.w; }
}

@compute @workgroup_size(64)
fn main_attention(
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
  var query: array<vec4f, 32>;
  var sums: array<vec4f, 32>;
  for (var c = 0u; c < C; c += 4u) {
    query[c / 4u] = query4(index * C + c, C - c);
    sums[c / 4u] = vec4f(0.0);
  }
  var peak = LOWEST;
  var total = 0.0;
  for (var span = spans[row]; span < spans[row + 1u]; span++) {
    let pair = words.pairsOffset + u32(span) * 2u;
    let stop = spans[pair] + spans[pair + 1u];
    for (var key = spans[pair]; key < stop; key++) {
      let first = (u32(key) * words.K + kvHead) * C;
      var score = 0.0;
      for (var c = 0u; c < C; c += 4u) { score += dot(query[c / 4u], key4(first + c, C - c)); }
      score *= words.scale;
      let next = max(peak, score);
      var shrink = 1.0;
      if (peak != next) { shrink = exp(max(peak - next, -100.0)); }
      let p = exp(score - next);
      peak = next;
      total = total * shrink + p;
      for (var c = 0u; c < C; c += 4u) { sums[c / 4u] = sums[c / 4u] * shrink + p * value4(first + c, C - c); }
    }
  }
  // A row without keys gets zeros.
  var inverse = 0.0;
  var lse = LOWEST;
  if (total != 0.0) {
    inverse = 1.0 / total;
    lse = peak + log(total);
  }
  for (var c = 0u; c < C; c += 4u) { store4(index * C + c, C - c, sums[c / 4u] * inverse); }
  stats[row * 2u * words.H + head] = lse;
}
