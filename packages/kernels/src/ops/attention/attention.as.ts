// Attention. Lanes are four heads of one kv group (fewer heads: idle lanes), keys one by one in span order. Chunk: 4 rows.
// Scratch: three panels [C][4].
import { at, axpy, dot, exp1, exp4, madd, pointer, word, wordFloat } from "../../../assembly/math";

function transpose(panel: usize, source: usize, C: i32, lanes: i32): void {
  for (let c = 0; c < C; c++) for (let lane = 0; lane < 4; lane++) store<f32>(at(panel, c * 4 + lane), lane < lanes ? load<f32>(at(source, lane * C + c)) : 0);
}
function untranspose(target: usize, panel: usize, C: i32, lanes: i32, scale: v128): void {
  for (let c = 0; c < C; c++) {
    v128.store(at(panel, c * 4), f32x4.mul(v128.load(at(panel, c * 4)), scale));
    for (let lane = 0; lane < lanes; lane++) store<f32>(at(target, lane * C + c), load<f32>(at(panel, c * 4 + lane)));
  }
}
function lanesOf(source: usize, lanes: i32, spare: usize): v128 {
  for (let lane = 0; lane < 4; lane++) store<f32>(at(spare, lane), lane < lanes ? load<f32>(at(source, lane)) : 0);
  return v128.load(spare);
}
// @ts-ignore: decorator
@inline function scores(row: usize, panel: usize, C: i32): v128 {
  let sum = f32x4.splat(0);
  for (let c = 0; c < C; c++) sum = madd(v128.load32_splat(at(row, c)), v128.load(at(panel, c * 4)), sum);
  return sum;
}
// @ts-ignore: decorator
@inline function addScaled(panel: usize, row: usize, p: v128, C: i32): void {
  for (let c = 0; c < C; c++) v128.store(at(panel, c * 4), madd(p, v128.load32_splat(at(row, c)), v128.load(at(panel, c * 4))));
}

export function attention(job: usize, first: i32, last: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), group = H / K;
  for (let row = first; row < last; row++)
    for (let kv = 0; kv < K; kv++) for (let lane = 0; lane < group; lane += 4) attend(job, row, kv, kv * group + lane, min(4, group - lane), C, scratch);
}

function attend(job: usize, row: i32, kv: i32, head: i32, lanes: i32, C: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), spans = pointer(job, 3), pairs = at(spans, word(job, 5));
  const scale = f32x4.splat(wordFloat(job, 4)), q = scratch, o = at(scratch, C * 4), spare = at(scratch, C * 12);
  transpose(q, at(pointer(job, 0), (row * H + head) * C), C, lanes);
  memory.fill(o, 0, <usize>C << 4);
  let peak = f32x4.splat(-Infinity), sum = f32x4.splat(0);
  const end = load<i32>(at(spans, row + 1));
  for (let span = load<i32>(at(spans, row)); span < end; span++) {
    const start = load<i32>(at(pairs, span * 2)), stop = start + load<i32>(at(pairs, span * 2 + 1));
    for (let key = start; key < stop; key++) {
      const offset = (key * K + kv) * C;
      const score = f32x4.mul(scores(at(pointer(job, 1), offset), q, C), scale);
      if (v128.any_true(f32x4.gt(score, peak))) {
        const next = f32x4.pmax(peak, score), shrink = exp4(f32x4.sub(peak, next));
        sum = f32x4.mul(sum, shrink);
        for (let c = 0; c < C; c++) v128.store(at(o, c * 4), f32x4.mul(v128.load(at(o, c * 4)), shrink));
        peak = next;
      }
      const p = exp4(f32x4.sub(score, peak));
      sum = f32x4.add(sum, p);
      addScaled(o, at(pointer(job, 2), offset), p, C);
    }
  }
  const empty = f32x4.eq(sum, f32x4.splat(0));
  untranspose(at(pointer(job, 4), (row * H + head) * C), o, C, lanes, v128.andnot(f32x4.div(f32x4.splat(1), sum), empty));
  v128.store(spare, sum);
  v128.store(spare, peak, 16);
  for (let lane = 0; lane < lanes; lane++) store<f32>(at(pointer(job, 5), row * 2 * H + head + lane), load<f32>(at(spare, lane + 4)) + Mathf.log(load<f32>(at(spare, lane))));
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
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), group = H / K;
  for (let row = first; row < last; row++)
    for (let kv = 0; kv < K; kv++) for (let lane = 0; lane < group; lane += 4) attendBack(job, row, kv, kv * group + lane, min(4, group - lane), C, scratch);
}

function attendBack(job: usize, row: i32, kv: i32, head: i32, lanes: i32, C: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), spans = pointer(job, 5), pairs = at(spans, word(job, 5));
  const scale = f32x4.splat(wordFloat(job, 4)), q = scratch, dO = at(scratch, C * 4), dq = at(scratch, C * 8), spare = at(scratch, C * 12);
  transpose(q, at(pointer(job, 0), (row * H + head) * C), C, lanes);
  transpose(dO, at(pointer(job, 3), (row * H + head) * C), C, lanes);
  memory.fill(dq, 0, <usize>C << 4);
  const lse = lanesOf(at(pointer(job, 4), row * 2 * H + head), lanes, spare);
  const delta = lanesOf(at(pointer(job, 4), (row * 2 + 1) * H + head), lanes, spare);
  const end = load<i32>(at(spans, row + 1));
  for (let span = load<i32>(at(spans, row)); span < end; span++) {
    const start = load<i32>(at(pairs, span * 2)), stop = start + load<i32>(at(pairs, span * 2 + 1));
    for (let key = start; key < stop; key++) {
      const offset = (key * K + kv) * C, k = at(pointer(job, 1), offset);
      const p = exp4(f32x4.sub(f32x4.mul(scores(k, q, C), scale), lse));
      const dp = scores(at(pointer(job, 2), offset), dO, C);
      addScaled(dq, k, f32x4.mul(p, f32x4.sub(dp, delta)), C);
    }
  }
  untranspose(at(pointer(job, 6), (row * H + head) * C), dq, C, lanes, scale);
}

export function attentionDkv(job: usize, first: i32, last: i32): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), scale = wordFloat(job, 4), group = H / K;
  const stats = pointer(job, 4), queries = pointer(job, 5);
  for (let row = first; row < last; row++) {
    const start = load<i32>(at(queries, row * 2)), end = load<i32>(at(queries, row * 2 + 1));
    for (let kv = 0; kv < K; kv++) {
      const offset = (row * K + kv) * C, k = at(pointer(job, 1), offset), v = at(pointer(job, 2), offset);
      const dk = at(pointer(job, 6), offset), dv = at(pointer(job, 7), offset);
      memory.fill(dk, 0, <usize>C << 2);
      memory.fill(dv, 0, <usize>C << 2);
      for (let i = start; i < end; i++)
        for (let head = kv * group; head < (kv + 1) * group; head++) {
          const q = at(pointer(job, 0), (i * H + head) * C), dO = at(pointer(job, 3), (i * H + head) * C);
          const p = exp1(dot(q, k, C) * scale - load<f32>(at(stats, i * 2 * H + head)));
          const ds = p * (dot(dO, v, C) - load<f32>(at(stats, (i * 2 + 1) * H + head))) * scale;
          axpy(dk, ds, q, C);
          axpy(dv, p, dO, C);
        }
    }
  }
}
