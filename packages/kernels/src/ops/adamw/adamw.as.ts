// Gradient norm (partials of 4096 elements, summed in order) and AdamW over [first, last) elements.
import { at, dot, pointer, word, wordFloat } from "../../../assembly/math";

export function squareSum(job: usize, first: i32, last: i32): void {
  const x = at(pointer(job, 0), first);
  store<f32>(at(pointer(job, 1), first / 4096), dot(x, x, last - first));
}

export function normChunks(): i32 { return 1; }

export function normFinish(job: usize): void {
  let sum: f32 = 0;
  for (let i = 0; i < word(job, 0); i++) sum += load<f32>(at(pointer(job, 0), i));
  store<f32>(pointer(job, 1), sqrt<f32>(sum));
}

export function adamw(job: usize, first: i32, last: i32): void {
  const p = pointer(job, 0), g = pointer(job, 1), m = pointer(job, 2), v = pointer(job, 3), norm = load<f32>(pointer(job, 4));
  const lr = wordFloat(job, 1), beta1 = wordFloat(job, 2), beta2 = wordFloat(job, 3), eps = wordFloat(job, 4), decay = wordFloat(job, 5);
  const correction1 = wordFloat(job, 6), correction2 = wordFloat(job, 7), maxNorm = wordFloat(job, 8);
  const scale: f32 = maxNorm > 0 ? min<f32>(1, maxNorm / (norm + <f32>1e-6)) : 1;
  for (let i = first; i < last; i++) {
    const d = load<f32>(at(g, i)) * scale, w = load<f32>(at(p, i));
    const a = beta1 * load<f32>(at(m, i)) + (<f32>1 - beta1) * d;
    const b = beta2 * load<f32>(at(v, i)) + (<f32>1 - beta2) * d * d;
    store<f32>(at(m, i), a);
    store<f32>(at(v, i), b);
    store<f32>(at(p, i), w - lr * (a * correction1 / (sqrt<f32>(b * correction2) + eps) + decay * w));
  }
}
