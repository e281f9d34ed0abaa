// Attention, forward and gradient of q. Lanes (lanes.as.ts) are queries: consecutive rows whose lists of keys are the same but for the last length, with the
// heads of one kv head. Keys are taken in blocks of 128 by their place in the list, with a running peak: a row's bits depend on its own list alone, not on
// how that is cut into spans, nor on the rows beside it. Gradient of k and v: attention-dkv.as.ts. Scratch: panels of q, do and the result (32 KiB each),
// scores, slopes, ranges of a block, what is known of each lane.
import { at, divideUp, dot, log4, one, pointer, threads, word, wordFloat } from "../../../assembly/math";
import { addHidden, BLOCK, clear, finite, joinLanes, LOG2E, power4, POWERS, splitLanes } from "./lanes.as";
import { addRows4, addRows8, products4, products8 } from "./tiles.as";

const DO: usize = 32768, RESULT: usize = 65536, SCORES: usize = 98304, SLOPES: usize = 102528, RANGES: usize = 106752;
/** Of eight lanes: offset of the query in q, place in stats, length of the list, peak, sum of weights. */
const QUERIES: usize = 107776, STATS: usize = 107808, LENGTHS: usize = 107840, PEAKS: usize = 107872, SUMS: usize = 107904;
const LN2: f32 = 0.693147182;

/** Lanes in use, vectors of four, bytes of a channel in a panel. */
let lanes: i32 = 0, vectors: i32 = 0, step: usize = 0;
/** Keys that all lanes see, keys in the longest list. */
let common: i32 = 0, longest: i32 = 0;
/** Place in the list of keys: span, next key and end of the range before it. Then: ranges of the block that RANGES holds. */
let span: i32 = 0, key: i32 = 0, stop: i32 = 0, ranges: i32 = 0;

/** One thread takes all rows at once, so that no chunk cuts a block of lanes; else about 16 chunks a thread. */
// @ts-ignore: decorator
@inline export function chunkRows(rows: i32): i32 {
  if (threads == 1) return max(1, rows);
  const each = divideUp(rows, 16 * threads);
  return each < 8 ? max(1, each) : divideUp(each, 8) * 8;
}
export function attentionChunks(job: usize): i32 { return divideUp(word(job, 0), chunkRows(word(job, 0))); }

export function attention(job: usize, chunk: i32, scratch: usize): void { eachBlock(job, chunk, scratch, pointer(job, 3), false); }
export function attentionDq(job: usize, chunk: i32, scratch: usize): void { eachBlock(job, chunk, scratch, pointer(job, 5), true); }

function eachBlock(job: usize, chunk: i32, scratch: usize, spans: usize, back: bool): void {
  const rows = word(job, 0), H = word(job, 1), group = H / word(job, 2), size = chunkRows(rows), heads = min(8, group);
  const pairs = at(spans, word(job, 5)), last = min(rows, (chunk + 1) * size);
  for (let row = chunk * size; row < last; ) {
    const count = alike(spans, pairs, row, min(last, row + max(1, 8 / heads)));
    for (let first = 0; first < H; first += group)
      for (let h = 0; h < group; h += heads) {
        setLanes(job, spans, pairs, row, count, first + h, min(heads, group - h), scratch);
        span = load<i32>(at(spans, row + count - 1));
        key = stop = 0;
        if (back) attendBack(job, pairs, load<i32>(at(spans, row + count)), first / group, scratch);
        else attend(job, pairs, load<i32>(at(spans, row + count)), first / group, scratch);
      }
    row += count;
  }
}

/** Rows from `row` on, before `last`, whose lists are beginnings of each other in the same spans. Leaves in `common` the first one's keys. */
function alike(spans: usize, pairs: usize, row: i32, last: i32): i32 {
  const start = load<i32>(at(spans, row)), end = load<i32>(at(spans, row + 1)), size = end - start;
  common = 0;
  for (let i = start; i < end; i++) common += load<i32>(at(pairs, i * 2 + 1));
  if (common == 0) return 1;
  const list = at(pairs, start * 2), bytes = <usize>(size * 2 - 1) << 2, length = load<i32>(list + bytes);
  let count = 1, before = length;
  for (; row + count < last; count++) {
    const from = load<i32>(at(spans, row + count)), other = at(pairs, from * 2), otherLength = load<i32>(other + bytes);
    if (load<i32>(at(spans, row + count + 1)) - from != size || otherLength < before || otherLength - length > 16) break;
    if (memory.compare(list, other, bytes) != 0) break;
    before = otherLength;
  }
  return count;
}

/** Lane l is head l % heads of row l / heads; lanes beyond repeat the last one. */
function setLanes(job: usize, spans: usize, pairs: usize, row: i32, count: i32, head: i32, heads: i32, scratch: usize): void {
  const H = word(job, 1), C = word(job, 3), length = lastLength(spans, pairs, row);
  lanes = count * heads;
  vectors = lanes > 4 ? 2 : 1;
  step = <usize>vectors << 4;
  let i = row, h = 0;
  for (let l = 0; l < 8; l++) {
    longest = common == 0 ? 0 : common + lastLength(spans, pairs, i) - length;
    store<i32>(at(scratch + QUERIES, l), (i * H + head + h) * C);
    store<i32>(at(scratch + STATS, l), i * 2 * H + head + h);
    store<i32>(at(scratch + LENGTHS, l), longest);
    if (l + 1 < lanes && ++h == heads) { h = 0; i++; }
  }
}
// @ts-ignore: decorator
@inline function lastLength(spans: usize, pairs: usize, row: i32): i32 {
  const end = load<i32>(at(spans, row + 1));
  return end > load<i32>(at(spans, row)) ? load<i32>(at(pairs, end * 2 - 1)) : 0;
}

/** Puts the ranges of the list's next keys, at most a block, in RANGES. Returns the keys. */
function nextBlock(pairs: usize, spanEnd: i32, scratch: usize): i32 {
  let keys = 0;
  for (ranges = 0; keys < BLOCK; ranges++) {
    while (key >= stop) {
      if (span >= spanEnd) return keys;
      key = load<i32>(at(pairs, span * 2));
      stop = key + load<i32>(at(pairs, span * 2 + 1));
      span++;
    }
    const length = min(stop - key, BLOCK - keys), range = at(scratch + RANGES, ranges * 2);
    store<i32>(range, key);
    store<i32>(range, length, 4);
    key += length;
    keys += length;
  }
  return keys;
}

/** Products of the block's rows of x (row 0 of the kv head at x) with a panel. */
function multiply(panel: usize, x: usize, stride: usize, C: i32, scratch: usize, out: usize): void {
  for (let i = 0; i < ranges; i++) {
    const rows = x + stride * load<i32>(at(scratch + RANGES, i * 2)), count = load<i32>(at(scratch + RANGES, i * 2 + 1));
    if (vectors == 2) products8(panel, rows, stride, count, C, out);
    else products4(panel, rows, stride, count, C, out);
    out += step * count;
  }
}

/** RESULT += the block's rows of x, weighted. From row `hidden` on some lanes do not see them: their weights are 0. */
function addBlock(weights: usize, x: usize, stride: usize, C: i32, scratch: usize, hidden: i32, before: i32): void {
  for (let i = 0; i < ranges; i++) {
    const rows = x + stride * load<i32>(at(scratch + RANGES, i * 2)), count = load<i32>(at(scratch + RANGES, i * 2 + 1));
    const safe = min(count, max(0, hidden)), seen = finite(rows + stride * safe, stride, count - safe, C) ? count : safe;
    if (vectors == 2) addRows8(scratch + RESULT, weights, rows, stride, seen, C);
    else addRows4(scratch + RESULT, weights, rows, stride, seen, C);
    for (let j = seen; j < count; j++)
      for (let v: usize = 0; v < step; v += 16)
        addHidden(scratch + RESULT + v, step, v128.load(weights + step * j + v), rows + stride * j, C, seesKey(scratch + LENGTHS + v, before + j));
    weights += step * count;
    hidden -= count;
    before += count;
  }
}
// @ts-ignore: decorator
@inline function seesKey(lengths: usize, place: i32): v128 { return i32x4.gt_s(v128.load(lengths), i32x4.splat(place)); }

/** Numbers of keys that a lane does not see, from key `hidden` of the block on, become `value`. */
function hide(numbers: usize, hidden: i32, keys: i32, before: i32, value: v128, scratch: usize): void {
  for (let j = hidden; j < keys; j++)
    for (let v: usize = 0; v < step; v += 16) {
      const place = numbers + step * j + v;
      v128.store(place, v128.bitselect(v128.load(place), value, seesKey(scratch + LENGTHS + v, before + j)));
    }
}

function attend(job: usize, pairs: usize, spanEnd: i32, kv: i32, scratch: usize): void {
  const K = word(job, 2), C = word(job, 3), stride = <usize>(K * C) << 2, scores = scratch + SCORES, result = scratch + RESULT;
  for (let v: usize = 0; v < step; v += 16) {
    splitLanes(pointer(job, 0), scratch + QUERIES + v, C, wordFloat(job, 4) * LOG2E, scratch + v, step);
    v128.store(scratch + PEAKS + v, f32x4.splat(-Infinity));
    v128.store(scratch + SUMS + v, f32x4.splat(0));
  }
  clear(result, step * C);
  for (let before = 0, keys = 0; before < longest; before += keys) {
    keys = nextBlock(pairs, spanEnd, scratch);
    multiply(scratch, at(pointer(job, 1), kv * C), stride, C, scratch, scores);
    const hidden = max(0, common - before);
    hide(scores, hidden, keys, before, f32x4.splat(-Infinity), scratch);
    for (let v: usize = 0; v < step; v += 16) {
      const peak = v128.load(scratch + PEAKS + v), next = peakOf(scores + v, keys, peak);
      let sum = v128.load(scratch + SUMS + v);
      if (before > 0) {
        const shrink = shrinking(f32x4.sub(peak, next));
        sum = f32x4.mul(sum, shrink);
        for (let at = result + v, end = at + step * C; at < end; at += step) v128.store(at, f32x4.mul(v128.load(at), shrink));
      }
      v128.store(scratch + PEAKS + v, next);
      v128.store(scratch + SUMS + v, weigh(scores + v, keys, next, sum));
    }
    addBlock(scores, at(pointer(job, 2), kv * C), stride, C, scratch, hidden, before);
  }
  for (let v: usize = 0, left = lanes; v < step; v += 16, left -= 4) finish(job, scratch, v, min(4, left));
}

// @ts-ignore: decorator
@inline function peakOf(scores: usize, keys: i32, peak: v128): v128 {
  const apart = step;
  let a = peak, b = peak, c = peak, d = peak;
  for (; keys >= 4; keys -= 4, scores += apart << 2) {
    a = f32x4.pmax(a, v128.load(scores)); b = f32x4.pmax(b, v128.load(scores + apart));
    c = f32x4.pmax(c, v128.load(scores + apart * 2)); d = f32x4.pmax(d, v128.load(scores + apart * 3));
  }
  for (; keys > 0; keys--, scores += apart) a = f32x4.pmax(a, v128.load(scores));
  return f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
}

/** 2^x of one vector. */
function shrinking(x: v128): v128 {
  return power4(x, one(POWERS, 0), one(POWERS, 1), one(POWERS, 2), one(POWERS, 3), one(POWERS, 4), one(POWERS, 5), one(POWERS, 6), one(POWERS, 7));
}

/** Scores become weights, which are added to the sum. */
// @ts-ignore: decorator
@inline function weigh(scores: usize, keys: i32, peak: v128, sum: v128): v128 {
  const least = one(POWERS, 0), magic = one(POWERS, 1), c5 = one(POWERS, 2), c4 = one(POWERS, 3), c3 = one(POWERS, 4), c2 = one(POWERS, 5), c1 = one(POWERS, 6), c0 = one(POWERS, 7);
  for (const apart = step; keys > 0; keys--, scores += apart) {
    const p = power4(f32x4.sub(v128.load(scores), peak), least, magic, c5, c4, c3, c2, c1, c0);
    v128.store(scores, p);
    sum = f32x4.add(sum, p);
  }
  return sum;
}

/** The result and log-sum-exp of four lanes; zeros and -Infinity where there is no key. */
function finish(job: usize, scratch: usize, v: usize, count: i32): void {
  const sum = v128.load(scratch + SUMS + v), peak = v128.load(scratch + PEAKS + v), lanesAt = scratch + STATS + v;
  const inverse = v128.andnot(f32x4.div(f32x4.splat(1), sum), f32x4.eq(sum, f32x4.splat(0)));
  joinLanes(scratch + RESULT + v, step, word(job, 3), inverse, pointer(job, 4), scratch + QUERIES + v, count);
  // sum - sum: log4 makes a number of NaN
  const lse = f32x4.add(f32x4.mul(peak, f32x4.splat(LN2)), f32x4.add(log4(sum), f32x4.sub(sum, sum))), stats = pointer(job, 5);
  v128.store32_lane(at(stats, load<i32>(lanesAt)), lse, 0);
  if (count > 1) v128.store32_lane(at(stats, load<i32>(lanesAt, 4)), lse, 1);
  if (count > 2) v128.store32_lane(at(stats, load<i32>(lanesAt, 8)), lse, 2);
  if (count > 3) v128.store32_lane(at(stats, load<i32>(lanesAt, 12)), lse, 3);
}

export function attentionDelta(job: usize, first: i32, last: i32): void {
  const H = word(job, 1), C = word(job, 2);
  for (let row = first; row < last; row++)
    for (let head = 0; head < H; head++) {
      const offset = (row * H + head) * C;
      store<f32>(at(pointer(job, 2), (row * 2 + 1) * H + head), dot(at(pointer(job, 0), offset), at(pointer(job, 1), offset), C));
    }
}

// @ts-ignore: decorator
@inline function statsOf(stats: usize, places: usize): v128 {
  return f32x4(
    load<f32>(at(stats, load<i32>(places))), load<f32>(at(stats, load<i32>(places, 4))), load<f32>(at(stats, load<i32>(places, 8))), load<f32>(at(stats, load<i32>(places, 12))),
  );
}

function attendBack(job: usize, pairs: usize, spanEnd: i32, kv: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), scale = wordFloat(job, 4), stride = <usize>(K * C) << 2;
  const scores = scratch + SCORES, slopes = scratch + SLOPES, keysAt = at(pointer(job, 1), kv * C);
  for (let v: usize = 0; v < step; v += 16) {
    splitLanes(pointer(job, 0), scratch + QUERIES + v, C, scale * LOG2E, scratch + v, step);
    splitLanes(pointer(job, 3), scratch + QUERIES + v, C, 1, scratch + DO + v, step);
  }
  clear(scratch + RESULT, step * C);
  for (let before = 0, keys = 0; before < longest; before += keys) {
    keys = nextBlock(pairs, spanEnd, scratch);
    multiply(scratch, keysAt, stride, C, scratch, scores);
    multiply(scratch + DO, at(pointer(job, 2), kv * C), stride, C, scratch, slopes);
    for (let v: usize = 0; v < step; v += 16) {
      const stats = pointer(job, 4), places = scratch + STATS + v;
      incline(scores + v, slopes + v, keys, f32x4.mul(statsOf(stats, places), f32x4.splat(LOG2E)), statsOf(at(stats, H), places));
    }
    const hidden = max(0, common - before);
    hide(slopes, hidden, keys, before, f32x4.splat(0), scratch);
    addBlock(slopes, keysAt, stride, C, scratch, hidden, before);
  }
  for (let v: usize = 0, left = lanes; v < step; v += 16, left -= 4)
    joinLanes(scratch + RESULT + v, step, C, f32x4.splat(scale), pointer(job, 6), scratch + QUERIES + v, min(4, left));
}

/** Products of values and do become slopes of the scores: p (do · v - delta). */
// @ts-ignore: decorator
@inline function incline(scores: usize, slopes: usize, keys: i32, lse: v128, delta: v128): void {
  const least = one(POWERS, 0), magic = one(POWERS, 1), c5 = one(POWERS, 2), c4 = one(POWERS, 3), c3 = one(POWERS, 4), c2 = one(POWERS, 5), c1 = one(POWERS, 6), c0 = one(POWERS, 7);
  for (const apart = step; keys > 0; keys--, scores += apart, slopes += apart) {
    const p = power4(f32x4.sub(v128.load(scores), lse), least, magic, c5, c4, c3, c2, c1, c0);
    v128.store(slopes, f32x4.mul(p, f32x4.sub(v128.load(slopes), delta)));
  }
}
