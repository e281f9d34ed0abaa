// y = value over [first, last) elements.
import { at, pointer, wordFloat } from "../../../assembly/math";

export function fill(job: usize, first: i32, last: i32): void {
  const y = pointer(job, 0), value = wordFloat(job, 1), four = f32x4.splat(value);
  let i = first;
  for (; i + 4 <= last; i += 4) v128.store(at(y, i), four);
  for (; i < last; i++) store<f32>(at(y, i), value);
}
