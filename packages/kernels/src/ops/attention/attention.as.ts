// Attention, forward and gradient of q. Lanes are four heads of one kv head (lanes.as.ts); keys are taken in blocks of 512 by their place in the
// row's list, with a running peak. Gradient of k and v: attention-dkv.as.ts. Scratch: vectors of q, do and the result (16 KiB each), scores, their gradients.
import { at, dot, exp4, pointer, word, wordFloat } from "../../../assembly/math";
import { addRows1, addRows8, joinHeads, products, splitHeads } from "./lanes.as";

const BLOCK: i32 = 512;
const DO: usize = 16384, RESULT: usize = 32768, SCORES: usize = 49152, SLOPES: usize = 57344;

/** Place in a row's list of keys: span, and the next key and end of the range before it. */
let span: i32 = 0, key: i32 = 0, stop: i32 = 0;
let blockSpan: i32 = 0, blockKey: i32 = 0, blockStop: i32 = 0;

function rememberPlace(): void { blockSpan = span; blockKey = key; blockStop = stop; }
function returnToPlace(): void { span = blockSpan; key = blockKey; stop = blockStop; }

/** Length of the next contiguous range of keys, at most `most`; its first key is then key - length. */
function nextRange(pairs: usize, spanEnd: i32, most: i32): i32 {
  while (key >= stop) {
    if (span >= spanEnd) return 0;
    key = load<i32>(at(pairs, span * 2));
    stop = key + load<i32>(at(pairs, span * 2 + 1));
    span++;
  }
  const length = min(stop - key, most);
  key += length;
  return length;
}

/** RESULT += weights (at `weights`, a block from its remembered place on) times the rows of the block's keys. */
function addBlock(rows: usize, weights: usize, pairs: usize, spanEnd: i32, K: i32, kv: i32, C: i32, scratch: usize, count: i32): void {
  const stride = <usize>(K * C) << 2;
  for (let c = 0; c < C; c += C - c >= 8 ? 8 : 1) {
    const y = scratch + RESULT + (<usize>c << 4);
    returnToPlace();
    for (let done = 0; done < count; ) {
      const length = nextRange(pairs, spanEnd, count - done);
      const source = at(rows, ((key - length) * K + kv) * C + c);
      if (C - c >= 8) addRows8(y, weights + (<usize>done << 4), source, stride, length);
      else addRows1(y, weights + (<usize>done << 4), source, stride, length);
      done += length;
    }
  }
}

// @ts-ignore: decorator
@inline function fourHeads(base: usize, count: i32): v128 {
  return f32x4(load<f32>(base), load<f32>(at(base, min(1, count - 1))), load<f32>(at(base, min(2, count - 1))), load<f32>(at(base, count - 1)));
}

export function attention(job: usize, first: i32, last: i32, scratch: usize): void {
  const H = word(job, 1), group = H / word(job, 2);
  for (let row = first; row < last; row++)
    for (let head = 0; head < H; head += group)
      for (let h = 0; h < group; h += 4) attend(job, row, head / group, head + h, min(4, group - h), scratch);
}

function attend(job: usize, row: i32, kv: i32, head: i32, count: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), spans = pointer(job, 3), pairs = at(spans, word(job, 5)), spanEnd = load<i32>(at(spans, row + 1));
  const stride = <usize>(K * C) << 2, scores = scratch + SCORES, result = scratch + RESULT;
  splitHeads(at(pointer(job, 0), (row * H + head) * C), C, count, wordFloat(job, 4), scratch);
  memory.fill(result, 0, <usize>C << 4);
  let peak = f32x4.splat(-Infinity), sum = f32x4.splat(0);
  span = load<i32>(at(spans, row));
  key = stop = 0;
  while (true) {
    rememberPlace();
    let n = 0;
    while (n < BLOCK) {
      const length = nextRange(pairs, spanEnd, BLOCK - n);
      if (length == 0) break;
      products(scratch, at(pointer(job, 1), ((key - length) * K + kv) * C), stride, length, C, scores + (<usize>n << 4));
      n += length;
    }
    if (n == 0) break;
    let next = peak;
    const end = scores + (<usize>n << 4);
    for (let at = scores; at < end; at += 16) next = f32x4.pmax(next, v128.load(at));
    if (isNonzero(sum)) {
      const shrink = exp4(f32x4.sub(peak, next));
      sum = f32x4.mul(sum, shrink);
      for (let c = 0; c < C; c++) v128.store(at(result, c * 4), f32x4.mul(v128.load(at(result, c * 4)), shrink));
    }
    peak = next;
    for (let at = scores; at < end; at += 16) {
      const p = exp4(f32x4.sub(v128.load(at), peak));
      sum = f32x4.add(sum, p);
      v128.store(at, p);
    }
    addBlock(pointer(job, 2), scores, pairs, spanEnd, K, kv, C, scratch, n);
  }
  const empty = f32x4.eq(sum, f32x4.splat(0));
  joinHeads(result, C, count, v128.andnot(f32x4.div(f32x4.splat(1), sum), empty), at(pointer(job, 4), (row * H + head) * C));
  const stats = at(pointer(job, 5), row * 2 * H + head);
  store<f32>(stats, f32x4.extract_lane(peak, 0) + Mathf.log(f32x4.extract_lane(sum, 0)));
  if (count > 1) store<f32>(stats, f32x4.extract_lane(peak, 1) + Mathf.log(f32x4.extract_lane(sum, 1)), 4);
  if (count > 2) store<f32>(stats, f32x4.extract_lane(peak, 2) + Mathf.log(f32x4.extract_lane(sum, 2)), 8);
  if (count > 3) store<f32>(stats, f32x4.extract_lane(peak, 3) + Mathf.log(f32x4.extract_lane(sum, 3)), 12);
}

// @ts-ignore: decorator
@inline function isNonzero(sum: v128): bool { return v128.any_true(f32x4.ne(sum, f32x4.splat(0))); }

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
  for (let row = first; row < last; row++)
    for (let head = 0; head < H; head += group)
      for (let h = 0; h < group; h += 4) attendBack(job, row, head / group, head + h, min(4, group - h), scratch);
}

function attendBack(job: usize, row: i32, kv: i32, head: i32, count: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), spans = pointer(job, 5), pairs = at(spans, word(job, 5)), spanEnd = load<i32>(at(spans, row + 1));
  const stride = <usize>(K * C) << 2, scores = scratch + SCORES, slopes = scratch + SLOPES, stats = at(pointer(job, 4), row * 2 * H + head);
  const lse = fourHeads(stats, count), delta = fourHeads(at(stats, H), count);
  splitHeads(at(pointer(job, 0), (row * H + head) * C), C, count, wordFloat(job, 4), scratch);
  splitHeads(at(pointer(job, 3), (row * H + head) * C), C, count, 1, scratch + DO);
  memory.fill(scratch + RESULT, 0, <usize>C << 4);
  span = load<i32>(at(spans, row));
  key = stop = 0;
  while (true) {
    rememberPlace();
    let n = 0;
    while (n < BLOCK) {
      const length = nextRange(pairs, spanEnd, BLOCK - n);
      if (length == 0) break;
      const source = ((key - length) * K + kv) * C;
      products(scratch, at(pointer(job, 1), source), stride, length, C, scores + (<usize>n << 4));
      products(scratch + DO, at(pointer(job, 2), source), stride, length, C, slopes + (<usize>n << 4));
      n += length;
    }
    if (n == 0) break;
    for (let i: usize = 0, bytes = <usize>n << 4; i < bytes; i += 16)
      v128.store(slopes + i, f32x4.mul(exp4(f32x4.sub(v128.load(scores + i), lse)), f32x4.sub(v128.load(slopes + i), delta)));
    addBlock(pointer(job, 1), slopes, pairs, spanEnd, K, kv, C, scratch, n);
  }
  joinHeads(scratch + RESULT, C, count, f32x4.splat(wordFloat(job, 4)), at(pointer(job, 6), (row * H + head) * C));
}
