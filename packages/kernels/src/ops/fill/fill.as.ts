// y = value over [first, last) elements.
import { at, pointer, wordFloat } from "../../../assembly/math";

export function fill(job: usize, first: i32, last: i32): void {
  const y = pointer(job, 0), value = wordFloat(job, 1);
  for (let i = first; i < last; i++) store<f32>(at(y, i), value);
}
