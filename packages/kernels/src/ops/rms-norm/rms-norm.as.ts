// Root-mean-square norm. Chunk: 16 rows (rms_norm, dx) or 64 columns (dw, rows in order).
import { at, dot, pointer, word, wordFloat } from "../../../assembly/math";

export function rmsNorm(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), eps = wordFloat(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), y = at(pointer(job, 2), row * width);
    const rstd: f32 = <f32>1 / sqrt<f32>(dot(x, x, width) / <f32>width + eps);
    store<f32>(at(pointer(job, 3), row), rstd);
    for (let i = 0; i < width; i++) store<f32>(at(y, i), load<f32>(at(x, i)) * rstd * load<f32>(at(w, i)));
  }
}

/** dx = rstd * (w dy - x * rstd^2 * mean(w dy x)). */
export function rmsNormDx(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), acc = word(job, 2), w = pointer(job, 1);
  for (let row = first; row < last; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 3), row * width), dx = at(pointer(job, 4), row * width);
    const rstd = load<f32>(at(pointer(job, 2), row));
    let sum: f32 = 0;
    for (let i = 0; i < width; i++) sum += load<f32>(at(w, i)) * load<f32>(at(dy, i)) * load<f32>(at(x, i));
    const mean = sum * rstd * rstd / <f32>width;
    for (let i = 0; i < width; i++) {
      const d = rstd * (load<f32>(at(w, i)) * load<f32>(at(dy, i)) - load<f32>(at(x, i)) * mean);
      store<f32>(at(dx, i), acc ? load<f32>(at(dx, i)) + d : d);
    }
  }
}

export function rmsNormDw(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1), dw = pointer(job, 3);
  for (let row = 0; row < rows; row++) {
    const x = at(pointer(job, 0), row * width), dy = at(pointer(job, 2), row * width), rstd = load<f32>(at(pointer(job, 1), row));
    for (let i = first; i < last; i++) store<f32>(at(dw, i), load<f32>(at(dw, i)) + load<f32>(at(x, i)) * rstd * load<f32>(at(dy, i)));
  }
}
