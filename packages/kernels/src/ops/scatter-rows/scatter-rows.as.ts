// pool[dst[i]] = x[i]. Chunk: 16 rows.
import { at, pointer, word } from "../../../assembly/math";

export function scatterRows(job: usize, first: i32, last: i32): void {
  const width = word(job, 1);
  for (let row = first; row < last; row++) {
    const target = load<i32>(at(pointer(job, 1), row));
    if (target >= 0) memory.copy(at(pointer(job, 2), target * width), at(pointer(job, 0), row * width), <usize>width << 2);
  }
}
