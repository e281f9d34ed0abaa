// Gated linear unit over [first, last) elements.
import { at, exp4, pointer } from "../../../assembly/math";

// @ts-ignore: decorator
@inline function sigmoid(x: v128): v128 { return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x)))); }

export function swiglu(job: usize, first: i32, last: i32): void {
  const g = pointer(job, 0), u = pointer(job, 1), y = pointer(job, 2);
  let i = first;
  for (; i + 4 <= last; i += 4) { const x = v128.load(at(g, i)); v128.store(at(y, i), f32x4.mul(f32x4.mul(x, sigmoid(x)), v128.load(at(u, i)))); }
  for (; i < last; i++) { const x = load<f32>(at(g, i)); store<f32>(at(y, i), x * f32x4.extract_lane(sigmoid(f32x4.splat(x)), 0) * load<f32>(at(u, i))); }
}

export function swigluBack(job: usize, first: i32, last: i32): void {
  const g = pointer(job, 0), u = pointer(job, 1), dy = pointer(job, 2), dg = pointer(job, 3), du = pointer(job, 4);
  for (let i = first; i < last; i++) {
    const x = load<f32>(at(g, i)), d = load<f32>(at(dy, i));
    const s = f32x4.extract_lane(sigmoid(f32x4.splat(x)), 0);
    store<f32>(at(du, i), d * x * s);
    store<f32>(at(dg, i), d * load<f32>(at(u, i)) * s * (<f32>1 + x * (<f32>1 - s)));
  }
}
