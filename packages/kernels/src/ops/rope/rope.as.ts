// Rotary positions. Chunk: 16 rows.
import { at, madd, one, pointer, put, word, wordFloat } from "../../../assembly/math";

export function rope(job: usize, first: i32, last: i32): void {
  const heads = word(job, 1), C = word(job, 2), sign = f32x4.splat(wordFloat(job, 3)), half = C >> 1;
  for (let row = first; row < last; row++) {
    const cos = at(pointer(job, 1), row * half), sin = at(pointer(job, 2), row * half);
    for (let head = 0; head < heads; head++) {
      const x = at(pointer(job, 0), (row * heads + head) * C), y = at(pointer(job, 3), (row * heads + head) * C);
      let i = 0;
      for (; i + 4 <= half; i += 4) {
        const c = v128.load(at(cos, i)), s = f32x4.mul(sign, v128.load(at(sin, i))), a = v128.load(at(x, i)), b = v128.load(at(x, i + half));
        v128.store(at(y, i), madd(a, c, f32x4.neg(f32x4.mul(b, s))));
        v128.store(at(y, i + half), madd(b, c, f32x4.mul(a, s)));
      }
      for (; i < half; i++) {
        const c = one(cos, i), s = f32x4.mul(sign, one(sin, i)), a = one(x, i), b = one(x, i + half);
        put(y, i, madd(a, c, f32x4.neg(f32x4.mul(b, s))));
        put(y, i + half, madd(b, c, f32x4.mul(a, s)));
      }
    }
  }
}
