// SIMD building blocks and the job record. Job: 32 i32 words: [0] kernel id, [1..8] byte pointers, [9] the kernel's own, [10] chunk counter, [11..30] parameters,
// [31] the next job may begin before this one has ended.

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

/** Constants of exp4 and log4, read from memory: V8 builds a vector constant anew at every use, which takes longer. */
const CONSTANTS = memory.data<f32>([
  // exp4: bounds, rounding, 1 / ln 2, ln 2 in two parts, polynomial
  -87.33, 88.37, 12582912.0, 1.44269504, 2.12194440e-4, -0.693359375,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5, 1,
  // log4: square root of 1/2, polynomial, ln 2 in two parts
  0.707106781, 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
  -2.4999993993e-1, 3.3333331174e-1, -2.12194440e-4, 0.693359375, -0.5,
  // 12582912 with 127 fewer bits, of exp4
  12582785.0,
]);
// @ts-ignore: decorator
@inline function constant(index: i32): v128 { return v128.load32_splat(CONSTANTS + (<usize>index << 2)); }

/** e^x, about 1e-7 relative; 0 below -87.33. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const clamped = f32x4.pmin(f32x4.pmax(x, constant(0)), constant(1));
  const magic = constant(2);
  const shifted = madd(clamped, constant(3), magic);
  const n = f32x4.sub(shifted, magic);
  const r = madd(n, constant(4), madd(n, constant(5), clamped));
  let p = constant(6);
  p = madd(p, r, constant(7));
  p = madd(p, r, constant(8));
  p = madd(p, r, constant(9));
  p = madd(p, r, constant(10));
  p = madd(p, r, constant(11));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(12));
  // 2^n: the bits of shifted are those of 12582912 plus n
  const scale = i32x4.shl(i32x4.sub(shifted, constant(26)), 23);
  return v128.andnot(f32x4.mul(p, scale), f32x4.lt(x, constant(0)));
}
// @ts-ignore: decorator
@inline export function exp1(x: f32): f32 { return f32x4.extract_lane(exp4(f32x4.splat(x)), 0); }

/** Natural logarithm of positive normal numbers, about 1e-7 relative, also near 1 (Cephes logf). */
// @ts-ignore: decorator
@inline export function log4(x: v128): v128 {
  const half = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(half, constant(13));
  const e = f32x4.convert_i32x4_s(i32x4.add(i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126)), low));
  const m = f32x4.sub(f32x4.add(half, v128.and(half, low)), constant(12));
  let p = constant(14);
  p = madd(p, m, constant(15));
  p = madd(p, m, constant(16));
  p = madd(p, m, constant(17));
  p = madd(p, m, constant(18));
  p = madd(p, m, constant(19));
  p = madd(p, m, constant(20));
  p = madd(p, m, constant(21));
  p = madd(p, m, constant(22));
  const square = f32x4.mul(m, m);
  const small = madd(e, constant(23), f32x4.mul(f32x4.mul(p, m), square));
  return madd(e, constant(24), f32x4.add(m, madd(square, constant(25), small)));
}

// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 { const one = constant(12); return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x)))); }
/** One element as four equal lanes and back: tails go through the arithmetic of the vectors. */
// @ts-ignore: decorator
@inline export function one(base: usize, index: i32): v128 { return v128.load32_splat(at(base, index)); }
// @ts-ignore: decorator
@inline export function put(base: usize, index: i32, x: v128): void { v128.store32_lane(at(base, index), x, 0); }

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

/** Of the run: its threads, and whether V8 makes 256-bit operations of pairs of 128. */
export let threads: i32 = 1;
export let wide: bool = false;
export function setRun(threadCount: i32, isWide: bool): void { threads = threadCount; wide = isWide; }
