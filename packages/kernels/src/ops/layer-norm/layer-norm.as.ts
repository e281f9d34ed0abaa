// Layer norm. Chunk: 16 rows (layer_norm, dx) or 64 columns (dw, rows in order).
import { at, pointer, word, wordFloat } from "../../../assembly/math";

export function layerNorm(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), eps = wordFloat(job, 2), w = pointer(job, 1), b = pointer(job, 2);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), y = at(pointer(job, 3), row * width), stats = at(pointer(job, 4), row * 2);
    let sum: f32 = 0;
    for (let i = 0; i < width; i++) sum += load<f32>(at(x, i));
    const mean = sum / <f32>width;
    let squares: f32 = 0;
    for (let i = 0; i < width; i++) { const d = load<f32>(at(x, i)) - mean; squares += d * d; }
    const rstd: f32 = <f32>1 / sqrt<f32>(squares / <f32>width + eps);
    store<f32>(stats, mean);
    store<f32>(stats, rstd, 4);
    for (let i = 0; i < width; i++) store<f32>(at(y, i), (load<f32>(at(x, i)) - mean) * rstd * load<f32>(at(w, i)) + load<f32>(at(b, i)));
  }
}

/** With g = w dy and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)). */
export function layerNormDx(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), acc = word(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 3), row * width), dx = at(pointer(job, 4), row * width);
    const mean = load<f32>(at(pointer(job, 2), row * 2)), rstd = load<f32>(at(pointer(job, 2), row * 2 + 1));
    let sum: f32 = 0, product: f32 = 0;
    for (let i = 0; i < width; i++) {
      const g = load<f32>(at(w, i)) * load<f32>(at(dy, i));
      sum += g;
      product += g * (load<f32>(at(x, i)) - mean) * rstd;
    }
    sum /= <f32>width;
    product /= <f32>width;
    for (let i = 0; i < width; i++) {
      const d = rstd * (load<f32>(at(w, i)) * load<f32>(at(dy, i)) - sum - (load<f32>(at(x, i)) - mean) * rstd * product);
      store<f32>(at(dx, i), acc ? load<f32>(at(dx, i)) + d : d);
    }
  }
}

export function layerNormDw(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1), dw = pointer(job, 3), db = pointer(job, 4);
  for (let row = 0; row < rows; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 2), row * width), stats = at(pointer(job, 1), row * 2);
    const mean = load<f32>(stats), rstd = load<f32>(stats, 4);
    for (let i = first; i < last; i++) {
      const d = load<f32>(at(dy, i));
      store<f32>(at(dw, i), load<f32>(at(dw, i)) + (load<f32>(at(x, i)) - mean) * rstd * d);
      store<f32>(at(db, i), load<f32>(at(db, i)) + d);
    }
  }
}
