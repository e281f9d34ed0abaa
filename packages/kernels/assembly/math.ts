// SIMD building blocks and the job record. Job: 32 i32 words: [0] kernel id, [1..9] byte pointers, [10] chunk counter, [11..31] parameters.

// @ts-ignore: decorator
@inline export function pointer(job: usize, index: i32): usize { return <usize>load<u32>(job + 4 + (<usize>index << 2)); }
// @ts-ignore: decorator
@inline export function word(job: usize, index: i32): i32 { return load<i32>(job + 44 + (<usize>index << 2)); }
// @ts-ignore: decorator
@inline export function wordFloat(job: usize, index: i32): f32 { return load<f32>(job + 44 + (<usize>index << 2)); }
// @ts-ignore: decorator
@inline export function at(base: usize, index: i32): usize { return base + (<usize>index << 2); }
// @ts-ignore: decorator
@inline export function divideUp(n: i32, d: i32): i32 { return (n + d - 1) / d; }

/** a * b + c. */
// @ts-ignore: decorator
@inline export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Lanes summed in a fixed order. */
// @ts-ignore: decorator
@inline export function laneSum(x: v128): f32 {
  return (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 2)) + (f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 3));
}

/** e^x, about 1e-7 relative; 0 below -87.33. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const clamped = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.33)), f32x4.splat(88.37));
  const magic = f32x4.splat(12582912.0);
  const shifted = madd(clamped, f32x4.splat(1.44269504), magic);
  const n = f32x4.sub(shifted, magic);
  const r = madd(n, f32x4.splat(2.12194440e-4), madd(n, f32x4.splat(-0.693359375), clamped));
  let p = f32x4.splat(1.9875691500e-4);
  p = madd(p, r, f32x4.splat(1.3981999507e-3));
  p = madd(p, r, f32x4.splat(8.3334519073e-3));
  p = madd(p, r, f32x4.splat(4.1665795894e-2));
  p = madd(p, r, f32x4.splat(1.6666665459e-1));
  p = madd(p, r, f32x4.splat(0.5));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1.0));
  const scale = i32x4.shl(i32x4.add(i32x4.sub(shifted, magic), i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(p, scale), f32x4.lt(x, f32x4.splat(-87.33)));
}
// @ts-ignore: decorator
@inline export function exp1(x: f32): f32 { return f32x4.extract_lane(exp4(f32x4.splat(x)), 0); }

/** Sum of a[i] * b[i]: four lanes, then the tail. */
export function dot(a: usize, b: usize, n: i32): f32 {
  let sum = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) sum = madd(v128.load(at(a, i)), v128.load(at(b, i)), sum);
  let total = laneSum(sum);
  for (; i < n; i++) total += load<f32>(at(a, i)) * load<f32>(at(b, i));
  return total;
}

/** y += s * x. */
export function axpy(y: usize, s: f32, x: usize, n: i32): void {
  const s4 = f32x4.splat(s);
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(at(y, i), madd(s4, v128.load(at(x, i)), v128.load(at(y, i))));
  for (; i < n; i++) store<f32>(at(y, i), f32x4.extract_lane(madd(s4, f32x4.splat(load<f32>(at(x, i))), f32x4.splat(load<f32>(at(y, i)))), 0));
}
