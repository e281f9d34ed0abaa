// db += column sums, rows in order. Chunk: 64 columns.
import { at, pointer, word } from "../../../assembly/math";

export function columnSum(job: usize, first: i32, last: i32): void {
  const rows = word(job, 0), width = word(job, 1);
  let i = first;
  for (; i + 8 <= last; i += 8) {
    const db = at(pointer(job, 1), i);
    let dy = at(pointer(job, 0), i), low = v128.load(db), high = v128.load(db, 16);
    for (let row = 0; row < rows; row++, dy += <usize>width << 2) {
      low = f32x4.add(low, v128.load(dy));
      high = f32x4.add(high, v128.load(dy, 16));
    }
    v128.store(db, low);
    v128.store(db, high, 16);
  }
  for (; i < last; i++) {
    let sum = load<f32>(at(pointer(job, 1), i));
    for (let row = 0; row < rows; row++) sum += load<f32>(at(pointer(job, 0), row * width + i));
    store<f32>(at(pointer(job, 1), i), sum);
  }
}
