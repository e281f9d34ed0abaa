// Takes one vocabulary tile into each row's choice by Gumbel-max: score = logit * invTemperature + noise * Gumbel, the largest wins,
// the lowest id on a tie. Gumbel = -log(-log u), u from Philox4x32-10 (Salmon et al. 2011): key (seed, step), counter
// (question, sample, position, id >> 2), lane id & 3, so that it depends on the row's key and the id only.
// logits [rows, tileWidth]; keys [rows, 8] = seed, step, question, sample, position, 0, 0, 0; best [rows]; ids i32 [rows].
// Words: rows, tileWidth, tileStart, first (1: nothing chosen yet), vocab, invTemperature, noise (0: the largest logit). One workgroup a row.
struct Words { rows: u32, tileWidth: i32, tileStart: i32, first: u32, vocab: i32, invTemperature: f32, noise: f32 }
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> best: array<f32>;
@group(0) @binding(4) var<storage, read_write> ids: array<i32>;

const LOWEST = -3.4028234e38;
var<workgroup> scores: array<f32, 64>;
var<workgroup> choices: array<i32, 64>;

/// Upper 32 bits of a 32x32 product, by 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
}

fn philox(start: vec4u, seed: vec2u) -> vec4u {
  var c = start;
  var k = seed;
  for (var round = 0u; round < 10u; round++) {
    c = vec4u(
      multiply_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x,
      0xcd9e8d57u * c.z,
      multiply_high(0xd2511f53u, c.x) ^ c.w ^ k.y,
      0xd2511f53u * c.x,
    );
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

/// Natural logarithm of a normal positive number to about 1 ulp (fdlibm). WGSL's own may be wrong by 2^-21 near 1, where -log u is smaller.
fn log_exact(x: f32) -> f32 {
  let bits = bitcast<u32>(x) + (0x3f800000u - 0x3f3504f3u);
  let exponent = f32(i32(bits >> 23u) - 127);
  let f = bitcast<f32>((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0;
  let s = f / (2.0 + f);
  let z = s * s;
  let w = z * z;
  let r = z * (0.66666662693 + w * 0.28498786688) + w * (0.40000972152 + w * 0.24279078841);
  let h = 0.5 * f * f;
  return s * (h + r) + exponent * 9.0580006145e-6 - h + f + exponent * 0.69313812256;
}

fn gumbel(row: u32, id: u32) -> f32 {
  let key = row * 8u;
  let block = philox(vec4u(keys[key + 2u], keys[key + 3u], keys[key + 4u], id >> 2u), vec2u(keys[key], keys[key + 1u]));
  // The largest f32 below 1 stands for the one draw that rounds to 1, whose Gumbel would be infinite.
  let u = min((f32(block[id & 3u] >> 8u) + 0.5) * 5.9604644775390625e-8, 0.99999994);
  return -log_exact(-log_exact(u));
}

@compute @workgroup_size(64)
fn main_sample_tile(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= words.rows) { return; }
  let columns = min(words.tileWidth, words.vocab - words.tileStart);
  var top = LOWEST;
  var choice = 0x7fffffff;
  for (var i = i32(lane); i < columns; i += 64) {
    let id = words.tileStart + i;
    var score = logits[i32(row) * words.tileWidth + i] * words.invTemperature;
    if (words.noise != 0.0) { score += words.noise * gumbel(row, u32(id)); }
    if (score > top) {
      top = score;
      choice = id;
    }
  }
  scores[lane] = top;
  choices[lane] = choice;
  for (var stride = 32u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) {
      let score = scores[lane + stride];
      let id = choices[lane + stride];
      if (score > scores[lane] || (score == scores[lane] && id < choices[lane])) {
        scores[lane] = score;
        choices[lane] = id;
      }
    }
  }
  if (lane != 0u) { return; }
  var before = LOWEST;
  var kept = 0;
  if (words.first == 0u) {
    before = best[row];
    kept = ids[row];
  }
  let better = scores[0] > before;
  best[row] = select(before, scores[0], better);
  ids[row] = select(kept, choices[0], better);
}
