// Gaussian error linear unit over [first, last) elements. kind 0: tanh, 1: erf (Abramowitz and Stegun 7.1.26, 1.5e-7).
import { at, exp1, pointer, word } from "../../../assembly/math";

function erf(x: f32): f32 {
  const a = abs<f32>(x), t: f32 = <f32>1 / (<f32>1 + <f32>0.3275911 * a);
  const p = ((((<f32>1.061405429 * t - <f32>1.453152027) * t + <f32>1.421413741) * t - <f32>0.284496736) * t + <f32>0.254829592) * t;
  return copysign<f32>(<f32>1 - p * exp1(-a * a), x);
}
function tanh(x: f32): f32 { return <f32>1 - <f32>2 / (exp1(<f32>2 * x) + <f32>1); }

export function gelu(job: usize, first: i32, last: i32): void {
  const x = pointer(job, 0), y = pointer(job, 1), kind = word(job, 1);
  for (let i = first; i < last; i++) {
    const v = load<f32>(at(x, i));
    const inner = kind == 0 ? tanh(<f32>0.7978845608 * (v + <f32>0.044715 * v * v * v)) : erf(v * <f32>0.7071067812);
    store<f32>(at(y, i), <f32>0.5 * v * (<f32>1 + inner));
  }
}

export function geluBack(job: usize, first: i32, last: i32): void {
  const x = pointer(job, 0), dy = pointer(job, 1), dx = pointer(job, 2), kind = word(job, 1);
  for (let i = first; i < last; i++) {
    const v = load<f32>(at(x, i));
    let slope: f32;
    if (kind == 0) {
      const t = tanh(<f32>0.7978845608 * (v + <f32>0.044715 * v * v * v));
      slope = <f32>0.5 * (<f32>1 + t) + <f32>0.5 * v * (<f32>1 - t * t) * <f32>0.7978845608 * (<f32>1 + <f32>0.134145 * v * v);
    } else slope = <f32>0.5 * (<f32>1 + erf(v * <f32>0.7071067812)) + v * <f32>0.3989422804 * exp1(<f32>-0.5 * v * v);
    store<f32>(at(dx, i), load<f32>(at(dy, i)) * slope);
  }
}
