// Sums over [first, last) elements.
import { at, pointer } from "../../../assembly/math";

function sum(a: usize, b: usize, y: usize, first: i32, last: i32): void {
  let i = first;
  for (; i + 4 <= last; i += 4) v128.store(at(y, i), f32x4.add(v128.load(at(a, i)), v128.load(at(b, i))));
  for (; i < last; i++) store<f32>(at(y, i), load<f32>(at(a, i)) + load<f32>(at(b, i)));
}
export function add(job: usize, first: i32, last: i32): void { sum(pointer(job, 0), pointer(job, 1), pointer(job, 2), first, last); }
export function accumulate(job: usize, first: i32, last: i32): void { sum(pointer(job, 1), pointer(job, 0), pointer(job, 1), first, last); }
