// Layer norm. Chunk: 16 rows (layer_norm, dx) or 64 columns (dw, rows in order).
import { at, laneSum, madd, one, pointer, put, word, wordFloat } from "../../../assembly/math";

function mean(x: usize, n: i32): f32 {
  let sum = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) sum = f32x4.add(sum, v128.load(at(x, i)));
  let total = laneSum(sum);
  for (; i < n; i++) total += load<f32>(at(x, i));
  return total / <f32>n;
}

function variance(x: usize, center: f32, n: i32): f32 {
  const middle = f32x4.splat(center);
  let sum = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) { const d = f32x4.sub(v128.load(at(x, i)), middle); sum = madd(d, d, sum); }
  let total = laneSum(sum);
  for (; i < n; i++) { const d = load<f32>(at(x, i)) - center; total += d * d; }
  return total / <f32>n;
}

export function layerNorm(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), eps = wordFloat(job, 2), w = pointer(job, 1), b = pointer(job, 2);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), y = at(pointer(job, 3), row * width), stats = at(pointer(job, 4), row * 2);
    const center = mean(x, width), rstd: f32 = <f32>1 / sqrt<f32>(variance(x, center, width) + eps);
    store<f32>(stats, center);
    store<f32>(stats, rstd, 4);
    const middle = f32x4.splat(center), scale = f32x4.splat(rstd);
    let i = 0;
    for (; i + 4 <= width; i += 4) v128.store(at(y, i), madd(f32x4.mul(f32x4.sub(v128.load(at(x, i)), middle), scale), v128.load(at(w, i)), v128.load(at(b, i))));
    for (; i < width; i++) put(y, i, madd(f32x4.mul(f32x4.sub(one(x, i), middle), scale), one(w, i), one(b, i)));
  }
}

/** With g = w dy and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)). */
export function layerNormDx(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), acc = word(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 3), row * width), dx = at(pointer(job, 4), row * width);
    const middle = one(pointer(job, 2), row * 2), scale = one(pointer(job, 2), row * 2 + 1);
    let sums = f32x4.splat(0), products = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const g = f32x4.mul(v128.load(at(w, i)), v128.load(at(dy, i)));
      sums = f32x4.add(sums, g);
      products = madd(g, f32x4.mul(f32x4.sub(v128.load(at(x, i)), middle), scale), products);
    }
    let sum = laneSum(sums), product = laneSum(products);
    for (; i < width; i++) {
      const g = load<f32>(at(w, i)) * load<f32>(at(dy, i));
      sum += g;
      product += g * (load<f32>(at(x, i)) - f32x4.extract_lane(middle, 0)) * f32x4.extract_lane(scale, 0);
    }
    const sum4 = f32x4.splat(sum / <f32>width), product4 = f32x4.splat(product / <f32>width);
    for (i = 0; i + 4 <= width; i += 4) {
      const h = f32x4.mul(f32x4.sub(v128.load(at(x, i)), middle), scale);
      const d = f32x4.mul(scale, f32x4.sub(f32x4.sub(f32x4.mul(v128.load(at(w, i)), v128.load(at(dy, i))), sum4), f32x4.mul(h, product4)));
      v128.store(at(dx, i), acc ? f32x4.add(v128.load(at(dx, i)), d) : d);
    }
    for (; i < width; i++) {
      const h = f32x4.mul(f32x4.sub(one(x, i), middle), scale);
      const d = f32x4.mul(scale, f32x4.sub(f32x4.sub(f32x4.mul(one(w, i), one(dy, i)), sum4), f32x4.mul(h, product4)));
      put(dx, i, acc ? f32x4.add(one(dx, i), d) : d);
    }
  }
}

export function layerNormDw(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1), stats = pointer(job, 1);
  let i = first;
  for (; i + 4 <= last; i += 4) {
    let dw = v128.load(at(pointer(job, 3), i)), db = v128.load(at(pointer(job, 4), i));
    for (let row = 0; row < rows; row++) {
      const d = v128.load(at(pointer(job, 2), row * width + i));
      dw = madd(f32x4.mul(f32x4.sub(v128.load(at(pointer(job, 0), row * width + i)), one(stats, row * 2)), one(stats, row * 2 + 1)), d, dw);
      db = f32x4.add(db, d);
    }
    v128.store(at(pointer(job, 3), i), dw);
    v128.store(at(pointer(job, 4), i), db);
  }
  for (; i < last; i++) {
    let dw = load<f32>(at(pointer(job, 3), i)), db = load<f32>(at(pointer(job, 4), i));
    for (let row = 0; row < rows; row++) {
      const d = load<f32>(at(pointer(job, 2), row * width + i));
      dw += (load<f32>(at(pointer(job, 0), row * width + i)) - load<f32>(at(stats, row * 2))) * load<f32>(at(stats, row * 2 + 1)) * d;
      db += d;
    }
    store<f32>(at(pointer(job, 3), i), dw);
    store<f32>(at(pointer(job, 4), i), db);
  }
}
