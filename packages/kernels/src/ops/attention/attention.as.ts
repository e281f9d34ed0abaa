// Attention. Lanes are four keys (backward of k and v: four queries), taken by their place in the row's list of keys, whatever spans they lie in: where keys are in
// memory, or which other rows there are, changes no bit. A last block of fewer than four repeats a key with weight 0.
// Scratch: four row offsets, then one row of C accumulators.
import { at, dot, exp4, madd, pointer, word, wordFloat } from "../../../assembly/math";

/** Sums of four vectors' lanes, as the lanes of one. */
// @ts-ignore: decorator
@inline function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** Dot products of one vector with four rows. */
// @ts-ignore: decorator
@inline function dot4(x: usize, r0: usize, r1: usize, r2: usize, r3: usize, C: i32): v128 {
  let a = f32x4.splat(0), b = f32x4.splat(0), c = f32x4.splat(0), d = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= C; i += 4) {
    const v = v128.load(at(x, i));
    a = madd(v128.load(at(r0, i)), v, a);
    b = madd(v128.load(at(r1, i)), v, b);
    c = madd(v128.load(at(r2, i)), v, c);
    d = madd(v128.load(at(r3, i)), v, d);
  }
  let sum = sumLanes(a, b, c, d);
  for (; i < C; i++) {
    let column = f32x4.splat(load<f32>(at(r0, i)));
    column = f32x4.replace_lane(column, 1, load<f32>(at(r1, i)));
    column = f32x4.replace_lane(column, 2, load<f32>(at(r2, i)));
    column = f32x4.replace_lane(column, 3, load<f32>(at(r3, i)));
    sum = madd(column, v128.load32_splat(at(x, i)), sum);
  }
  return sum;
}

/** y = shrink y + sum of four rows, each times its lane of p. */
// @ts-ignore: decorator
@inline function addRows4(y: usize, r0: usize, r1: usize, r2: usize, r3: usize, p: v128, shrink: f32, C: i32): void {
  const s = f32x4.splat(shrink);
  const p0 = v128.shuffle<f32>(p, p, 0, 0, 0, 0), p1 = v128.shuffle<f32>(p, p, 1, 1, 1, 1), p2 = v128.shuffle<f32>(p, p, 2, 2, 2, 2), p3 = v128.shuffle<f32>(p, p, 3, 3, 3, 3);
  let i = 0;
  for (; i + 4 <= C; i += 4) {
    let sum = f32x4.mul(v128.load(at(y, i)), s);
    sum = madd(p0, v128.load(at(r0, i)), sum);
    sum = madd(p1, v128.load(at(r1, i)), sum);
    sum = madd(p2, v128.load(at(r2, i)), sum);
    v128.store(at(y, i), madd(p3, v128.load(at(r3, i)), sum));
  }
  for (; i < C; i++) {
    let sum = load<f32>(at(y, i)) * shrink;
    sum += f32x4.extract_lane(p, 0) * load<f32>(at(r0, i));
    sum += f32x4.extract_lane(p, 1) * load<f32>(at(r1, i));
    sum += f32x4.extract_lane(p, 2) * load<f32>(at(r2, i));
    store<f32>(at(y, i), sum + f32x4.extract_lane(p, 3) * load<f32>(at(r3, i)));
  }
}

// @ts-ignore: decorator
@inline function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}
// @ts-ignore: decorator
@inline function largest(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}
/** All ones in the first `count` lanes. */
// @ts-ignore: decorator
@inline function firstLanes(count: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count));
}

/** Walks the keys of one row of q in order: `next` fills four of them. */
let span: i32 = 0, spanEnd: i32 = 0, key: i32 = 0, stop: i32 = 0;
function openRow(spans: usize, row: i32): void {
  span = load<i32>(at(spans, row));
  spanEnd = load<i32>(at(spans, row + 1));
  key = 0;
  stop = 0;
}
/** Stores up to four keys at `keys` (the last one repeated) and returns how many there are. */
function nextKeys(pairs: usize, keys: usize): i32 {
  let count = 0;
  while (count < 4) {
    while (key >= stop && span < spanEnd) {
      key = load<i32>(at(pairs, span * 2));
      stop = key + load<i32>(at(pairs, span * 2 + 1));
      span++;
    }
    if (key >= stop) break;
    store<i32>(at(keys, count++), key++);
  }
  for (let lane = max(count, 1); lane < 4; lane++) store<i32>(at(keys, lane), load<i32>(at(keys, lane - 1)));
  return count;
}
// @ts-ignore: decorator
@inline function keyRow(base: usize, keys: usize, lane: i32, K: i32, kv: i32, C: i32): usize {
  return at(base, (load<i32>(at(keys, lane)) * K + kv) * C);
}

export function attention(job: usize, first: i32, last: i32, scratch: usize): void {
  const H = word(job, 1), group = H / word(job, 2);
  for (let row = first; row < last; row++) for (let head = 0; head < H; head++) attend(job, row, head, head / group, scratch);
}

function attend(job: usize, row: i32, head: i32, kv: i32, keys: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), spans = pointer(job, 3), pairs = at(spans, word(job, 5));
  const scale = f32x4.splat(wordFloat(job, 4)), ks = pointer(job, 1), vs = pointer(job, 2);
  const q = at(pointer(job, 0), (row * H + head) * C), o = at(pointer(job, 4), (row * H + head) * C);
  memory.fill(o, 0, <usize>C << 2);
  let peak: f32 = -Infinity, sum = f32x4.splat(0);
  openRow(spans, row);
  for (let count = nextKeys(pairs, keys); count > 0; count = nextKeys(pairs, keys)) {
    const dots = dot4(q, keyRow(ks, keys, 0, K, kv, C), keyRow(ks, keys, 1, K, kv, C), keyRow(ks, keys, 2, K, kv, C), keyRow(ks, keys, 3, K, kv, C), C);
    const score = f32x4.mul(dots, scale);
    const next = max(peak, largest(score));
    const shrink: f32 = peak == next ? 1 : f32x4.extract_lane(exp4(f32x4.splat(peak - next)), 0);
    const p = v128.and(exp4(f32x4.sub(score, f32x4.splat(next))), firstLanes(count));
    peak = next;
    sum = f32x4.add(f32x4.mul(sum, f32x4.splat(shrink)), p);
    addRows4(o, keyRow(vs, keys, 0, K, kv, C), keyRow(vs, keys, 1, K, kv, C), keyRow(vs, keys, 2, K, kv, C), keyRow(vs, keys, 3, K, kv, C), p, shrink, C);
  }
  const all = total(sum), inverse: f32 = all == 0 ? 0 : 1 / all;
  for (let c = 0; c < C; c++) store<f32>(at(o, c), load<f32>(at(o, c)) * inverse);
  store<f32>(at(pointer(job, 5), row * 2 * H + head), peak + Mathf.log(all));
}

export function attentionDelta(job: usize, first: i32, last: i32): void {
  const H = word(job, 1), C = word(job, 2);
  for (let row = first; row < last; row++)
    for (let head = 0; head < H; head++) {
      const offset = (row * H + head) * C;
      store<f32>(at(pointer(job, 2), (row * 2 + 1) * H + head), dot(at(pointer(job, 0), offset), at(pointer(job, 1), offset), C));
    }
}

export function attentionDq(job: usize, first: i32, last: i32, scratch: usize): void {
  const H = word(job, 1), group = H / word(job, 2);
  for (let row = first; row < last; row++) for (let head = 0; head < H; head++) attendBack(job, row, head, head / group, scratch);
}

function attendBack(job: usize, row: i32, head: i32, kv: i32, keys: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), spans = pointer(job, 5), pairs = at(spans, word(job, 5));
  const factor = wordFloat(job, 4), scale = f32x4.splat(factor), ks = pointer(job, 1), vs = pointer(job, 2), stats = pointer(job, 4);
  const offset = (row * H + head) * C, q = at(pointer(job, 0), offset), dO = at(pointer(job, 3), offset), dq = at(pointer(job, 6), offset);
  const lse = v128.load32_splat(at(stats, row * 2 * H + head)), delta = v128.load32_splat(at(stats, (row * 2 + 1) * H + head));
  memory.fill(dq, 0, <usize>C << 2);
  openRow(spans, row);
  for (let count = nextKeys(pairs, keys); count > 0; count = nextKeys(pairs, keys)) {
    const k0 = keyRow(ks, keys, 0, K, kv, C), k1 = keyRow(ks, keys, 1, K, kv, C), k2 = keyRow(ks, keys, 2, K, kv, C), k3 = keyRow(ks, keys, 3, K, kv, C);
    const p = v128.and(exp4(f32x4.sub(f32x4.mul(dot4(q, k0, k1, k2, k3, C), scale), lse)), firstLanes(count));
    const dp = dot4(dO, keyRow(vs, keys, 0, K, kv, C), keyRow(vs, keys, 1, K, kv, C), keyRow(vs, keys, 2, K, kv, C), keyRow(vs, keys, 3, K, kv, C), C);
    addRows4(dq, k0, k1, k2, k3, f32x4.mul(p, f32x4.sub(dp, delta)), 1, C);
  }
  for (let c = 0; c < C; c++) store<f32>(at(dq, c), load<f32>(at(dq, c)) * factor);
}

export function attentionDkv(job: usize, first: i32, last: i32): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), group = H / K, queries = pointer(job, 5);
  for (let row = first; row < last; row++) {
    const start = load<i32>(at(queries, row * 2)), end = load<i32>(at(queries, row * 2 + 1));
    for (let kv = 0; kv < K; kv++) {
      const offset = (row * K + kv) * C;
      memory.fill(at(pointer(job, 6), offset), 0, <usize>C << 2);
      memory.fill(at(pointer(job, 7), offset), 0, <usize>C << 2);
      for (let head = kv * group; head < (kv + 1) * group; head++) for (let i = start; i < end; i += 4) queryBlock(job, offset, head, i, min(4, end - i));
    }
  }
}

/** Adds what `count` queries from `i` on give to one key's dk and dv. */
function queryBlock(job: usize, offset: i32, head: i32, i: i32, count: i32): void {
  const H = word(job, 1), C = word(job, 3), scale = f32x4.splat(wordFloat(job, 4)), stats = pointer(job, 4), last = count - 1;
  const j0 = i * H + head, j1 = (i + min(1, last)) * H + head, j2 = (i + min(2, last)) * H + head, j3 = (i + last) * H + head;
  const qs = pointer(job, 0), q0 = at(qs, j0 * C), q1 = at(qs, j1 * C), q2 = at(qs, j2 * C), q3 = at(qs, j3 * C);
  const ds = pointer(job, 3), d0 = at(ds, j0 * C), d1 = at(ds, j1 * C), d2 = at(ds, j2 * C), d3 = at(ds, j3 * C);
  // stats rows hold 2 H numbers: log-sum-exp at 2 H i + head, delta H further
  const s0 = 2 * j0 - head, s1 = 2 * j1 - head, s2 = 2 * j2 - head, s3 = 2 * j3 - head;
  const lse = f32x4(load<f32>(at(stats, s0)), load<f32>(at(stats, s1)), load<f32>(at(stats, s2)), load<f32>(at(stats, s3)));
  const delta = f32x4(load<f32>(at(stats, s0 + H)), load<f32>(at(stats, s1 + H)), load<f32>(at(stats, s2 + H)), load<f32>(at(stats, s3 + H)));
  const s = f32x4.mul(dot4(at(pointer(job, 1), offset), q0, q1, q2, q3, C), scale);
  const p = v128.and(exp4(f32x4.sub(s, lse)), firstLanes(count));
  const dp = dot4(at(pointer(job, 2), offset), d0, d1, d2, d3, C);
  addRows4(at(pointer(job, 6), offset), q0, q1, q2, q3, f32x4.mul(f32x4.mul(p, f32x4.sub(dp, delta)), scale), 1, C);
  addRows4(at(pointer(job, 7), offset), d0, d1, d2, d3, p, 1, C);
}
