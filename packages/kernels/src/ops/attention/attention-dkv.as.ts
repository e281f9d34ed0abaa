// Gradient of k and v. Each kv row takes the (query, head) pairs that see it in order, 128 at a time: weights and slopes of four pairs in four lanes,
// then both sums with the accumulators in registers. Scratch: weights, slopes (512 B each).
import { at, exp4, madd, pointer, word, wordFloat } from "../../../assembly/math";

const PAIRS: i32 = 128;
const SLOPES: usize = 512;

/** The next pair: its offset in q and do, query and head inside the group. */
let query: i32 = 0, inGroup: i32 = 0;

/** Sums of four vectors' lanes, as the lanes of one. */
// @ts-ignore: decorator
@inline function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}
// @ts-ignore: decorator
@inline function firstLanes(count: i32): v128 { return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count)); }
// @ts-ignore: decorator
@inline function column(r0: usize, r1: usize, r2: usize, r3: usize, c: usize): v128 {
  return f32x4(load<f32>(r0 + c), load<f32>(r1 + c), load<f32>(r2 + c), load<f32>(r3 + c));
}

// @ts-ignore: decorator
@inline function advance(group: i32): void { if (++inGroup == group) { inGroup = 0; query++; } }

export function attentionDkv(job: usize, first: i32, last: i32, scratch: usize): void {
  const K = word(job, 2), C = word(job, 3), group = word(job, 1) / K, queries = pointer(job, 5);
  for (let row = first; row < last; row++) {
    const start = load<i32>(at(queries, row * 2)), end = load<i32>(at(queries, row * 2 + 1));
    for (let kv = 0; kv < K; kv++) {
      const offset = (row * K + kv) * C, dk = at(pointer(job, 6), offset), dv = at(pointer(job, 7), offset);
      memory.fill(dk, 0, <usize>C << 2);
      memory.fill(dv, 0, <usize>C << 2);
      query = start;
      inGroup = 0;
      for (let rest = (end - start) * group; rest > 0; rest -= PAIRS) {
        const count = min(PAIRS, rest), firstQuery = query, firstInGroup = inGroup;
        for (let i = 0; i < count; i += 4) fourPairs(job, offset, kv * group, group, min(4, count - i), scratch + (<usize>i << 2));
        for (let c = 0; c < C; ) {
          query = firstQuery;
          inGroup = firstInGroup;
          if (C - c >= 16) { add16(job, kv * group, group, c, count, at(dk, c), at(dv, c), scratch); c += 16; }
          else { add1(job, kv * group, group, c, count, at(dk, c), at(dv, c), scratch); c++; }
        }
      }
    }
  }
}

/** Weights p and slopes scale p (do · v - delta) of the next `count` pairs; 0 in lanes beyond. */
function fourPairs(job: usize, offset: i32, head: i32, group: i32, count: i32, out: usize): void {
  const H = word(job, 1), C = word(job, 3), scale = f32x4.splat(wordFloat(job, 4)), stats = pointer(job, 4);
  const i0 = query, j0 = query * H + head + inGroup;
  advance(group);
  let i1 = i0, j1 = j0, i2 = i0, j2 = j0, i3 = i0, j3 = j0;
  if (count > 1) { i1 = query; j1 = query * H + head + inGroup; advance(group); }
  if (count > 2) { i2 = query; j2 = query * H + head + inGroup; advance(group); }
  if (count > 3) { i3 = query; j3 = query * H + head + inGroup; advance(group); }
  const qs = pointer(job, 0), ds = pointer(job, 3);
  let q0 = at(qs, j0 * C), q1 = at(qs, j1 * C), q2 = at(qs, j2 * C), q3 = at(qs, j3 * C), k = at(pointer(job, 1), offset);
  let d0 = at(ds, j0 * C), d1 = at(ds, j1 * C), d2 = at(ds, j2 * C), d3 = at(ds, j3 * C), v = at(pointer(job, 2), offset);
  let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0), a3 = f32x4.splat(0);
  let b0 = f32x4.splat(0), b1 = f32x4.splat(0), b2 = f32x4.splat(0), b3 = f32x4.splat(0);
  let c: usize = 0;
  const bytes = <usize>C << 2;
  for (; c + 16 <= bytes; c += 16) {
    const k4 = v128.load(k + c), v4 = v128.load(v + c);
    a0 = madd(v128.load(q0 + c), k4, a0); a1 = madd(v128.load(q1 + c), k4, a1); a2 = madd(v128.load(q2 + c), k4, a2); a3 = madd(v128.load(q3 + c), k4, a3);
    b0 = madd(v128.load(d0 + c), v4, b0); b1 = madd(v128.load(d1 + c), v4, b1); b2 = madd(v128.load(d2 + c), v4, b2); b3 = madd(v128.load(d3 + c), v4, b3);
  }
  let s = sumLanes(a0, a1, a2, a3), dp = sumLanes(b0, b1, b2, b3);
  for (; c < bytes; c += 4) {
    s = madd(column(q0, q1, q2, q3, c), v128.load32_splat(k + c), s);
    dp = madd(column(d0, d1, d2, d3, c), v128.load32_splat(v + c), dp);
  }
  // stats rows hold 2 H numbers: log-sum-exp at 2 H i + head, delta H further
  const s0 = at(stats, j0 + i0 * H), s1 = at(stats, j1 + i1 * H), s2 = at(stats, j2 + i2 * H), s3 = at(stats, j3 + i3 * H), further = <usize>H << 2;
  const lse = column(s0, s1, s2, s3, 0), delta = column(s0, s1, s2, s3, further);
  const p = v128.and(exp4(f32x4.sub(f32x4.mul(s, scale), lse)), firstLanes(count));
  v128.store(out, p);
  v128.store(out + SLOPES, f32x4.mul(f32x4.mul(p, f32x4.sub(dp, delta)), scale));
}

function add16(job: usize, head: i32, group: i32, c: i32, count: i32, dk: usize, dv: usize, weights: usize): void {
  const H = word(job, 1), C = word(job, 3), step = <usize>C << 2, over = <usize>(H - group) * step;
  let q = at(pointer(job, 0), (query * H + head + inGroup) * C + c), d = at(pointer(job, 3), (query * H + head + inGroup) * C + c), left = group - inGroup;
  let a0 = v128.load(dk), a1 = v128.load(dk, 16), a2 = v128.load(dk, 32), a3 = v128.load(dk, 48);
  let b0 = v128.load(dv), b1 = v128.load(dv, 16), b2 = v128.load(dv, 32), b3 = v128.load(dv, 48);
  for (let i = 0; i < count; i++, weights += 4) {
    const p = v128.load32_splat(weights), s = v128.load32_splat(weights + SLOPES);
    a0 = madd(v128.load(q), s, a0); a1 = madd(v128.load(q, 16), s, a1); a2 = madd(v128.load(q, 32), s, a2); a3 = madd(v128.load(q, 48), s, a3);
    b0 = madd(v128.load(d), p, b0); b1 = madd(v128.load(d, 16), p, b1); b2 = madd(v128.load(d, 32), p, b2); b3 = madd(v128.load(d, 48), p, b3);
    q += step;
    d += step;
    if (--left == 0) { left = group; q += over; d += over; }
  }
  v128.store(dk, a0); v128.store(dk, a1, 16); v128.store(dk, a2, 32); v128.store(dk, a3, 48);
  v128.store(dv, b0); v128.store(dv, b1, 16); v128.store(dv, b2, 32); v128.store(dv, b3, 48);
  // the pairs behind the block
  inGroup += count;
  query += inGroup / group;
  inGroup %= group;
}

function add1(job: usize, head: i32, group: i32, c: i32, count: i32, dk: usize, dv: usize, weights: usize): void {
  const H = word(job, 1), C = word(job, 3);
  let a = load<f32>(dk), b = load<f32>(dv);
  for (let i = 0; i < count; i++, weights += 4) {
    const offset = (query * H + head + inGroup) * C + c;
    a += load<f32>(at(pointer(job, 0), offset)) * load<f32>(weights + SLOPES);
    b += load<f32>(at(pointer(job, 3), offset)) * load<f32>(weights);
    advance(group);
  }
  store<f32>(dk, a);
  store<f32>(dv, b);
}
