// Gradient of k and v. Lanes (lanes.as.ts) are consecutive kv rows of one kv head that the same last query sees. They take the queries from the first one
// on, head after head, in blocks of 128: each kv row's sums run over its own queries in order, whichever rows are beside it. Scratch: panels of k, v and
// their gradients (32 KiB each), weights, slopes, what is known of each lane.
import { at, one, pointer, word, wordFloat } from "../../../assembly/math";
import { chunkRows } from "./attention.as";
import { addHidden, BLOCK, clear, finite, joinLanes, LOG2E, power4, POWERS, splitLanes } from "./lanes.as";
import { addRows4, addRows8, products4, products8 } from "./tiles.as";

const V: usize = 32768, DK: usize = 65536, DV: usize = 98304, WEIGHTS: usize = 131072, SLOPES: usize = 135296;
/** Of eight lanes: offset of the row in k, first query that sees it. */
const ROWS: usize = 139520, STARTS: usize = 139552;

let lanes: i32 = 0, step: usize = 0;
/** Queries: the first of any lane, the first of all, behind the last. */
let first: i32 = 0, common: i32 = 0, end: i32 = 0;

export function attentionDkv(job: usize, chunk: i32, scratch: usize): void {
  const rows = word(job, 0), K = word(job, 2), size = chunkRows(rows), last = min(rows, (chunk + 1) * size);
  for (let row = chunk * size; row < last; row += lanes) {
    alike(pointer(job, 5), row, min(last, row + 8), scratch + STARTS);
    for (let kv = 0; kv < K; kv++) gather(job, row, kv, scratch);
  }
}

// @ts-ignore: decorator
@inline function endOf(queries: usize, row: i32): i32 { return load<i32>(at(queries, row * 2 + 1)); }
/** A row that no query sees has its end as its start. */
// @ts-ignore: decorator
@inline function startOf(queries: usize, row: i32): i32 { return min(load<i32>(at(queries, row * 2)), endOf(queries, row)); }

/** Takes the rows from `row` on, before `last`, whose queries end where its own do and begin in order and not far apart. */
function alike(queries: usize, row: i32, last: i32, starts: usize): void {
  first = common = startOf(queries, row);
  end = endOf(queries, row);
  lanes = 0;
  for (; row < last; row++) {
    const start = startOf(queries, row);
    if (endOf(queries, row) != end || start < common || start > first + 16) break;
    common = start;
    store<i32>(at(starts, lanes++), start);
  }
  for (let l = lanes; l < 8; l++) store<i32>(at(starts, l), common);
  step = lanes > 4 ? 32 : 16;
}

function gather(job: usize, row: i32, kv: i32, scratch: usize): void {
  const H = word(job, 1), K = word(job, 2), C = word(job, 3), group = H / K, scale = wordFloat(job, 4);
  const stride = <usize>(H * C) << 2, weights = scratch + WEIGHTS, slopes = scratch + SLOPES;
  for (let l = 0; l < 8; l++) store<i32>(at(scratch + ROWS, l), ((row + min(l, lanes - 1)) * K + kv) * C);
  for (let v: usize = 0; v < step; v += 16) {
    splitLanes(pointer(job, 1), scratch + ROWS + v, C, scale * LOG2E, scratch + v, step);
    splitLanes(pointer(job, 2), scratch + ROWS + v, C, 1, scratch + V + v, step);
  }
  clear(scratch + DK, step * C);
  clear(scratch + DV, step * C);
  for (let head = kv * group; head < kv * group + group; head++)
    for (let query = first; query < end; query += BLOCK) {
      const count = min(BLOCK, end - query), q = at(pointer(job, 0), (query * H + head) * C), d = at(pointer(job, 3), (query * H + head) * C);
      multiply(scratch, q, stride, count, C, weights);
      multiply(scratch + V, d, stride, count, C, slopes);
      const stats = at(pointer(job, 4), query * 2 * H + head);
      for (let v: usize = 0; v < step; v += 16) incline(weights + v, slopes + v, count, stats, <usize>H << 2);
      const hidden = min(count, max(0, common - query));
      if (hidden > 0) hide(weights, slopes, hidden, query, scratch);
      add(scratch + DK, slopes, q, stride, count, hidden, query, C, scratch);
      add(scratch + DV, weights, d, stride, count, hidden, query, C, scratch);
    }
  for (let v: usize = 0, left = lanes; v < step; v += 16, left -= 4) {
    joinLanes(scratch + DK + v, step, C, f32x4.splat(scale), pointer(job, 6), scratch + ROWS + v, min(4, left));
    joinLanes(scratch + DV + v, step, C, f32x4.splat(1), pointer(job, 7), scratch + ROWS + v, min(4, left));
  }
}

// @ts-ignore: decorator
@inline function multiply(panel: usize, rows: usize, stride: usize, count: i32, C: i32, out: usize): void {
  if (step == 32) products8(panel, rows, stride, count, C, out);
  else products4(panel, rows, stride, count, C, out);
}

/** Scores become weights p, products of v and do become slopes p (do · v - delta). `further`: bytes from log-sum-exp to delta, half of a row of stats. */
// @ts-ignore: decorator
@inline function incline(weights: usize, slopes: usize, count: i32, stats: usize, further: usize): void {
  const least = one(POWERS, 0), magic = one(POWERS, 1), c5 = one(POWERS, 2), c4 = one(POWERS, 3), c3 = one(POWERS, 4), c2 = one(POWERS, 5), c1 = one(POWERS, 6), c0 = one(POWERS, 7);
  for (const apart = step; count > 0; count--, weights += apart, slopes += apart, stats += further << 1) {
    const lse = f32x4.splat(load<f32>(stats) * LOG2E), p = power4(f32x4.sub(v128.load(weights), lse), least, magic, c5, c4, c3, c2, c1, c0);
    v128.store(weights, p);
    v128.store(slopes, f32x4.mul(p, f32x4.sub(v128.load(slopes), v128.load32_splat(stats + further))));
  }
}

// @ts-ignore: decorator
@inline function isSeen(starts: usize, query: i32): v128 { return i32x4.le_s(v128.load(starts), i32x4.splat(query)); }

/** Weights and slopes of the first `hidden` queries become 0 in lanes they do not see. */
function hide(weights: usize, slopes: usize, hidden: i32, query: i32, scratch: usize): void {
  for (; hidden > 0; hidden--, query++, weights += step, slopes += step)
    for (let v: usize = 0; v < step; v += 16) {
      const mask = isSeen(scratch + STARTS + v, query);
      v128.store(weights + v, v128.and(v128.load(weights + v), mask));
      v128.store(slopes + v, v128.and(v128.load(slopes + v), mask));
    }
}

/** panel += weighted rows, of which some lanes do not see the first `hidden`. */
function add(panel: usize, weights: usize, rows: usize, stride: usize, count: i32, hidden: i32, query: i32, C: i32, scratch: usize): void {
  if (hidden > 0 && !finite(rows, stride, hidden, C))
    for (; hidden > 0; hidden--, count--, query++, weights += step, rows += stride)
      for (let v: usize = 0; v < step; v += 16)
        addHidden(panel + v, step, v128.load(weights + v), rows, C, isSeen(scratch + STARTS + v, query));
  if (step == 32) addRows8(panel, weights, rows, stride, count, C);
  else addRows4(panel, weights, rows, stride, count, C);
}
