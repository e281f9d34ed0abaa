// Gaussian error linear unit over [first, last) elements. kind 0: tanh, 1: erf (Abramowitz and Stegun 7.1.26, 1.5e-7).
import { at, exp4, madd, one, pointer, put, word } from "../../../assembly/math";

// @ts-ignore: decorator
@inline function erf4(x: v128): v128 {
  const a = f32x4.abs(x), unit = f32x4.splat(1), t = f32x4.div(unit, madd(a, f32x4.splat(0.3275911), unit));
  let p = madd(t, f32x4.splat(1.061405429), f32x4.splat(-1.453152027));
  p = madd(p, t, f32x4.splat(1.421413741));
  p = madd(p, t, f32x4.splat(-0.284496736));
  p = f32x4.mul(madd(p, t, f32x4.splat(0.254829592)), t);
  const tail = f32x4.mul(p, exp4(f32x4.neg(f32x4.mul(a, a))));
  return v128.or(f32x4.sub(unit, tail), v128.and(x, i32x4.splat(0x80000000)));
}
// @ts-ignore: decorator
@inline function tanh4(x: v128): v128 {
  return f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(exp4(f32x4.add(x, x)), f32x4.splat(1))));
}
/** tanh or erf of the scaled argument. */
// @ts-ignore: decorator
@inline function inner(x: v128, kind: i32): v128 {
  if (kind != 0) return erf4(f32x4.mul(x, f32x4.splat(0.7071067812)));
  return tanh4(f32x4.mul(f32x4.splat(0.7978845608), madd(f32x4.mul(f32x4.splat(0.044715), f32x4.mul(x, x)), x, x)));
}
// @ts-ignore: decorator
@inline function value(x: v128, kind: i32): v128 {
  return f32x4.mul(f32x4.mul(f32x4.splat(0.5), x), f32x4.add(f32x4.splat(1), inner(x, kind)));
}
// @ts-ignore: decorator
@inline function slope(x: v128, kind: i32): v128 {
  const unit = f32x4.splat(1), half = f32x4.splat(0.5), t = inner(x, kind), square = f32x4.mul(x, x);
  const density = kind == 0
    ? f32x4.mul(f32x4.mul(half, f32x4.sub(unit, f32x4.mul(t, t))), f32x4.mul(f32x4.splat(0.7978845608), madd(f32x4.splat(0.134145), square, unit)))
    : f32x4.mul(f32x4.splat(0.3989422804), exp4(f32x4.mul(f32x4.splat(-0.5), square)));
  return madd(x, density, f32x4.mul(half, f32x4.add(unit, t)));
}

export function gelu(job: usize, first: i32, last: i32): void {
  const x = pointer(job, 0), y = pointer(job, 1), kind = word(job, 1);
  let i = first;
  for (; i + 4 <= last; i += 4) v128.store(at(y, i), value(v128.load(at(x, i)), kind));
  for (; i < last; i++) put(y, i, value(one(x, i), kind));
}

export function geluBack(job: usize, first: i32, last: i32): void {
  const x = pointer(job, 0), dy = pointer(job, 1), dx = pointer(job, 2), kind = word(job, 1);
  let i = first;
  for (; i + 4 <= last; i += 4) v128.store(at(dx, i), f32x4.mul(v128.load(at(dy, i)), slope(v128.load(at(x, i)), kind)));
  for (; i < last; i++) put(dx, i, f32x4.mul(one(dy, i), slope(one(x, i), kind)));
}
