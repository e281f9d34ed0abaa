// Gated linear unit over [first, last) elements.
import { at, madd, one, pointer, put, sigmoid4 } from "../../../assembly/math";

// @ts-ignore: decorator
@inline function gated(x: v128, u: v128): v128 { return f32x4.mul(f32x4.mul(x, sigmoid4(x)), u); }

export function swiglu(job: usize, first: i32, last: i32): void {
  const g = pointer(job, 0), u = pointer(job, 1), y = pointer(job, 2);
  let i = first;
  for (; i + 4 <= last; i += 4) v128.store(at(y, i), gated(v128.load(at(g, i)), v128.load(at(u, i))));
  for (; i < last; i++) put(y, i, gated(one(g, i), one(u, i)));
}

/** d silu(x) / dx = s (1 + x (1 - s)). */
// @ts-ignore: decorator
@inline function slope(x: v128, s: v128): v128 {
  return f32x4.mul(s, madd(x, f32x4.sub(f32x4.splat(1), s), f32x4.splat(1)));
}

export function swigluBack(job: usize, first: i32, last: i32): void {
  const g = pointer(job, 0), u = pointer(job, 1), dy = pointer(job, 2), dg = pointer(job, 3), du = pointer(job, 4);
  let i = first;
  for (; i + 4 <= last; i += 4) {
    const x = v128.load(at(g, i)), d = v128.load(at(dy, i)), s = sigmoid4(x);
    v128.store(at(du, i), f32x4.mul(f32x4.mul(d, x), s));
    v128.store(at(dg, i), f32x4.mul(f32x4.mul(d, v128.load(at(u, i))), slope(x, s)));
  }
  for (; i < last; i++) {
    const x = one(g, i), d = one(dy, i), s = sigmoid4(x);
    put(du, i, f32x4.mul(f32x4.mul(d, x), s));
    put(dg, i, f32x4.mul(f32x4.mul(d, one(u, i)), slope(x, s)));
  }
}
