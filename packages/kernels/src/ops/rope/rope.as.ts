// Rotary positions. Chunk: 16 rows.
import { at, pointer, word, wordFloat } from "../../../assembly/math";

export function rope(job: usize, first: i32, last: i32): void {
  const heads = word(job, 1), C = word(job, 2), sign = wordFloat(job, 3), half = C >> 1;
  for (let row = first; row < last; row++) {
    const cos = at(pointer(job, 1), row * half), sin = at(pointer(job, 2), row * half);
    for (let head = 0; head < heads; head++) {
      const x = at(pointer(job, 0), (row * heads + head) * C), y = at(pointer(job, 3), (row * heads + head) * C);
      for (let i = 0; i < half; i++) {
        const c = load<f32>(at(cos, i)), s = sign * load<f32>(at(sin, i));
        const a = load<f32>(at(x, i)), b = load<f32>(at(x, i + half));
        store<f32>(at(y, i), a * c - b * s);
        store<f32>(at(y, i + half), b * c + a * s);
      }
    }
  }
}
