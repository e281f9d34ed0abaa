// db += column sums, rows in order. Chunk: 64 columns.
import { at, pointer, word } from "../../../assembly/math";

export function columnSum(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1), db = pointer(job, 1);
  for (let row = 0; row < rows; row++) {
    const dy = at(pointer(job, 0), row * width);
    for (let i = first; i < last; i++) store<f32>(at(db, i), load<f32>(at(db, i)) + load<f32>(at(dy, i)));
  }
}
