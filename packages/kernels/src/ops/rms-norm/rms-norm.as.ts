// Root-mean-square norm. Chunk: 16 rows (rms_norm, dx) or 64 columns (dw, rows in order).
import { at, dot, laneSum, madd, one, pointer, put, word, wordFloat } from "../../../assembly/math";

export function rmsNorm(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), eps = wordFloat(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), y = at(pointer(job, 2), row * width);
    const rstd: f32 = <f32>1 / sqrt<f32>(dot(x, x, width) / <f32>width + eps);
    store<f32>(at(pointer(job, 3), row), rstd);
    const scale = f32x4.splat(rstd);
    let i = 0;
    for (; i + 4 <= width; i += 4) v128.store(at(y, i), f32x4.mul(f32x4.mul(v128.load(at(x, i)), scale), v128.load(at(w, i))));
    for (; i < width; i++) put(y, i, f32x4.mul(f32x4.mul(one(x, i), scale), one(w, i)));
  }
}

/** Sum of w dy x. */
// @ts-ignore: decorator
@inline function dot3(w: usize, dy: usize, x: usize, n: i32): f32 {
  let sum = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) sum = madd(f32x4.mul(v128.load(at(w, i)), v128.load(at(dy, i))), v128.load(at(x, i)), sum);
  let total = laneSum(sum);
  for (; i < n; i++) total += load<f32>(at(w, i)) * load<f32>(at(dy, i)) * load<f32>(at(x, i));
  return total;
}

/** dx = rstd * (w dy - x * rstd^2 * mean(w dy x)). */
export function rmsNormDx(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), acc = word(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 3), row * width), dx = at(pointer(job, 4), row * width);
    const rstd = load<f32>(at(pointer(job, 2), row));
    const factor = f32x4.splat(rstd), shift = f32x4.splat(-(rstd * rstd * rstd * dot3(w, dy, x, width) / <f32>width));
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const d = madd(v128.load(at(x, i)), shift, f32x4.mul(factor, f32x4.mul(v128.load(at(w, i)), v128.load(at(dy, i)))));
      v128.store(at(dx, i), acc ? f32x4.add(v128.load(at(dx, i)), d) : d);
    }
    for (; i < width; i++) {
      const d = madd(one(x, i), shift, f32x4.mul(factor, f32x4.mul(one(w, i), one(dy, i))));
      put(dx, i, acc ? f32x4.add(one(dx, i), d) : d);
    }
  }
}

export function rmsNormDw(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1), rstd = pointer(job, 1), step = <usize>width << 2;
  let i = first;
  for (; i + 8 <= last; i += 8) {
    const dw = at(pointer(job, 3), i);
    let x = at(pointer(job, 0), i), dy = at(pointer(job, 2), i), low = v128.load(dw), high = v128.load(dw, 16);
    for (let row = 0; row < rows; row++, x += step, dy += step) {
      const r = one(rstd, row);
      low = madd(f32x4.mul(v128.load(x), r), v128.load(dy), low);
      high = madd(f32x4.mul(v128.load(x, 16), r), v128.load(dy, 16), high);
    }
    v128.store(dw, low);
    v128.store(dw, high, 16);
  }
  for (; i < last; i++) {
    let sum = load<f32>(at(pointer(job, 3), i));
    for (let row = 0; row < rows; row++) sum += load<f32>(at(pointer(job, 0), row * width + i)) * load<f32>(at(rstd, row)) * load<f32>(at(pointer(job, 2), row * width + i));
    store<f32>(at(pointer(job, 3), i), sum);
  }
}
