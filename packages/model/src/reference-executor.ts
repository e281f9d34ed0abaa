/**
 * An executor in plain JavaScript and f64, one loop a kernel: the oracle of this package's tests (finite differences need f64). Not for use: no
 * threads, no SIMD, and other rounding than the real executors.
 */
import { type Executor, type Live, type LoadedPlan, type Plan, type Tensor, wordValue } from '@axpo/kernels'

type Words = Readonly<Record<string, number>>
type Arrays = readonly Float64Array[]
type Kernel = (t: Arrays, w: Words) => void

/** t[i][j] without the noise of undefined. */
const put = (a: Float64Array, i: number, value: number) => {
  a[i] = a[i]! + value
}

const gemm: Kernel = ([a, b, c], { M, N, K, mode, acc }) => {
  for (let i = 0; i < M!; i++)
    for (let j = 0; j < N!; j++) {
      let sum = acc ? c![i * N! + j]! : 0
      for (let k = 0; k < K!; k++)
        sum += a![mode === 2 ? k * M! + i : i * K! + k]! * b![mode === 0 ? j * K! + k : k * N! + j]!
      c![i * N! + j] = sum
    }
}

const norms: Record<string, Kernel> = {
  rms_norm: ([x, w, y, r], { rows, width, eps }) => {
    for (let i = 0; i < rows!; i++) {
      let sum = 0
      for (let j = 0; j < width!; j++) sum += x![i * width! + j]! ** 2
      r![i] = 1 / Math.sqrt(sum / width! + eps!)
      for (let j = 0; j < width!; j++) y![i * width! + j] = w![j]! * x![i * width! + j]! * r![i]!
    }
  },
  rms_norm_dx: ([x, w, r, dy, dx], { rows, width, acc }) => {
    for (let i = 0; i < rows!; i++) {
      let mean = 0
      for (let j = 0; j < width!; j++) mean += (dy![i * width! + j]! * w![j]! * x![i * width! + j]! * r![i]!) / width!
      for (let j = 0; j < width!; j++) {
        const at = i * width! + j
        dx![at] = (acc ? dx![at]! : 0) + r![i]! * (dy![at]! * w![j]! - x![at]! * r![i]! * mean)
      }
    }
  },
  rms_norm_dw: ([x, r, dy, dw], { rows, width }) => {
    for (let i = 0; i < rows!; i++)
      for (let j = 0; j < width!; j++) put(dw!, j, dy![i * width! + j]! * x![i * width! + j]! * r![i]!)
  },
  layer_norm: ([x, w, b, y, s], { rows, width, eps }) => {
    for (let i = 0; i < rows!; i++) {
      const row = x!.subarray(i * width!, (i + 1) * width!)
      const mean = row.reduce((a, v) => a + v, 0) / width!
      const r = 1 / Math.sqrt(row.reduce((a, v) => a + (v - mean) ** 2, 0) / width! + eps!)
      s![i * 2] = mean
      s![i * 2 + 1] = r
      for (let j = 0; j < width!; j++) y![i * width! + j] = w![j]! * (row[j]! - mean) * r + b![j]!
    }
  },
  layer_norm_dx: ([x, w, s, dy, dx], { rows, width, acc }) => {
    for (let i = 0; i < rows!; i++) {
      const [m, r] = [s![i * 2]!, s![i * 2 + 1]!]
      let [g1, g2] = [0, 0]
      for (let j = 0; j < width!; j++) {
        const g = (dy![i * width! + j]! * w![j]!) / width!
        g1 += g
        g2 += g * (x![i * width! + j]! - m) * r
      }
      for (let j = 0; j < width!; j++) {
        const at = i * width! + j
        dx![at] = (acc ? dx![at]! : 0) + r * (dy![at]! * w![j]! - g1 - (x![at]! - m) * r * g2)
      }
    }
  },
  layer_norm_dw: ([x, s, dy, dw, db], { rows, width }) => {
    for (let i = 0; i < rows!; i++)
      for (let j = 0; j < width!; j++) {
        const g = dy![i * width! + j]!
        put(dw!, j, g * (x![i * width! + j]! - s![i * 2]!) * s![i * 2 + 1]!)
        put(db!, j, g)
      }
  },
}

/** Visible kv rows of row i. */
function visible(spans: Float64Array, i: number, pairsOffset: number): number[] {
  const rows: number[] = []
  for (let p = spans[i]!; p < spans[i + 1]!; p++)
    for (let j = 0; j < spans[pairsOffset + 2 * p + 1]!; j++) rows.push(spans[pairsOffset + 2 * p]! + j)
  return rows
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let sum = 0
  for (let c = 0; c < n; c++) sum += a[i + c]! * b[j + c]!
  return sum
}

const attentions: Record<string, Kernel> = {
  attention: ([q, k, v, spans, o, stats], { rows, H, K, C, scale, pairsOffset }) => {
    for (let i = 0; i < rows!; i++) {
      const keys = visible(spans!, i, pairsOffset!)
      for (let h = 0; h < H!; h++) {
        const g = Math.floor((h * K!) / H!)
        const at = (i * H! + h) * C!
        const z = keys.map((j) => scale! * dot(q!, at, k!, (j * K! + g) * C!, C!))
        const max = Math.max(...z)
        const lse = max + Math.log(z.reduce((sum, value) => sum + Math.exp(value - max), 0))
        stats![i * 2 * H! + h] = lse
        o!.fill(0, at, at + C!)
        keys.forEach((j, n) => {
          for (let c = 0; c < C!; c++) put(o!, at + c, Math.exp(z[n]! - lse) * v![(j * K! + g) * C! + c]!)
        })
      }
    }
  },
  attention_delta: ([o, d, stats], { rows, H, C }) => {
    for (let i = 0; i < rows!; i++)
      for (let h = 0; h < H!; h++) stats![i * 2 * H! + H! + h] = dot(o!, (i * H! + h) * C!, d!, (i * H! + h) * C!, C!)
  },
  attention_dq: ([q, k, v, d, stats, spans, dq], { rows, H, K, C, scale, pairsOffset }) => {
    for (let i = 0; i < rows!; i++)
      for (let h = 0; h < H!; h++) {
        const g = Math.floor((h * K!) / H!)
        const at = (i * H! + h) * C!
        dq!.fill(0, at, at + C!)
        for (const j of visible(spans!, i, pairsOffset!)) {
          const kv = (j * K! + g) * C!
          const p = Math.exp(scale! * dot(q!, at, k!, kv, C!) - stats![i * 2 * H! + h]!)
          const ds = p * (dot(d!, at, v!, kv, C!) - stats![i * 2 * H! + H! + h]!)
          for (let c = 0; c < C!; c++) put(dq!, at + c, scale! * ds * k![kv + c]!)
        }
      }
  },
  attention_dkv: ([q, k, v, d, stats, queries, dk, dv], { kvRows, H, K, C, scale }) => {
    for (let j = 0; j < kvRows!; j++)
      for (let g = 0; g < K!; g++) {
        const kv = (j * K! + g) * C!
        dk!.fill(0, kv, kv + C!)
        dv!.fill(0, kv, kv + C!)
        for (let i = queries![j * 2]!; i < queries![j * 2 + 1]!; i++)
          for (let h = (g * H!) / K!; h < ((g + 1) * H!) / K!; h++) {
            const at = (i * H! + h) * C!
            const p = Math.exp(scale! * dot(q!, at, k!, kv, C!) - stats![i * 2 * H! + h]!)
            const ds = p * (dot(d!, at, v!, kv, C!) - stats![i * 2 * H! + H! + h]!)
            for (let c = 0; c < C!; c++) {
              put(dk!, kv + c, scale! * ds * q![at + c]!)
              put(dv!, kv + c, p * d![at + c]!)
            }
          }
      }
  },
}

const ROOT = Math.sqrt(2 / Math.PI)

/** erf by its series (small x) and by a continued fraction (large x); f64 accuracy. */
function erf(x: number): number {
  const a = Math.abs(x)
  if (a > 6) return Math.sign(x)
  let [term, sum] = [a, a]
  for (let n = 1; n < 200; n++) {
    term *= (-a * a) / n
    sum += term / (2 * n + 1)
  }
  if (a < 3) return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  let f = a
  for (let n = 60; n > 0; n--) f = a + n / 2 / f
  return Math.sign(x) * (1 - Math.exp(-a * a) / (f * Math.sqrt(Math.PI)))
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

function geluSlope(x: number, kind: number): number {
  if (kind === 1) return 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)
  const t = Math.tanh(ROOT * (x + 0.044715 * x ** 3))
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * 0.044715 * x * x)
}

const elementwise: Record<string, Kernel> = {
  swiglu: ([g, u, y], { n }) => {
    for (let i = 0; i < n!; i++) y![i] = g![i]! * sigmoid(g![i]!) * u![i]!
  },
  swiglu_back: ([g, u, dy, dg, du], { n }) => {
    for (let i = 0; i < n!; i++) {
      const s = sigmoid(g![i]!)
      dg![i] = dy![i]! * u![i]! * s * (1 + g![i]! * (1 - s))
      du![i] = dy![i]! * g![i]! * s
    }
  },
  gelu: ([x, y], { n, kind }) => {
    for (let i = 0; i < n!; i++) {
      const v = x![i]!
      y![i] =
        kind === 1 ? 0.5 * v * (1 + erf(v / Math.SQRT2)) : 0.5 * v * (1 + Math.tanh(ROOT * (v + 0.044715 * v ** 3)))
    }
  },
  gelu_back: ([x, dy, dx], { n, kind }) => {
    for (let i = 0; i < n!; i++) dx![i] = dy![i]! * geluSlope(x![i]!, kind!)
  },
  add: ([a, b, y], { n }) => {
    for (let i = 0; i < n!; i++) y![i] = a![i]! + b![i]!
  },
  accumulate: ([x, y], { n }) => {
    for (let i = 0; i < n!; i++) put(y!, i, x![i]!)
  },
  fill: ([y], { n, value }) => {
    y!.fill(value!, 0, n!)
  },
  column_sum: ([dy, db], { rows, width }) => {
    for (let i = 0; i < rows! * width!; i++) put(db!, i % width!, dy![i]!)
  },
  rope: ([x, cos, sin, y], { rows, heads, C, sign }) => {
    const half = C! / 2
    for (let i = 0; i < rows! * heads!; i++)
      for (let c = 0; c < half; c++) {
        const [co, si] = [cos![Math.floor(i / heads!) * half + c]!, sign! * sin![Math.floor(i / heads!) * half + c]!]
        const [a, b] = [x![i * C! + c]!, x![i * C! + half + c]!]
        y![i * C! + c] = a * co - b * si
        y![i * C! + half + c] = b * co + a * si
      }
  },
}

function gather(t: Arrays, w: Words, weights: Float64Array | null, y: Float64Array): void {
  const [table, csr] = t
  const width = w.width!
  for (let i = 0; i < w.rows!; i++) {
    if (!w.acc) y.fill(0, i * width, (i + 1) * width)
    for (let e = csr![i]!; e < csr![i + 1]!; e++)
      for (let j = 0; j < width; j++)
        put(y, i * width + j, (weights ? weights[e]! : 1) * table![csr![w.colsOffset! + e]! * width + j]!)
  }
}

const tables: Record<string, Kernel> = {
  gemm,
  gemm_bias: ([a, b, bias, c], w) => {
    gemm([a!, b!, c!], { ...w, acc: 0 })
    for (let i = 0; i < w.M! * w.N!; i++) put(c!, i, bias![i % w.N!]!)
  },
  gather: (t, w) => gather(t, w, null, t[2]!),
  gather_weighted: (t, w) => gather(t, w, t[2]!, t[3]!),
  scatter_rows: ([x, dst, pool], { rows, width }) => {
    for (let i = 0; i < rows!; i++)
      if (dst![i]! >= 0) pool!.set(x!.subarray(i * width!, (i + 1) * width!), dst![i]! * width!)
  },
  square_sum: ([x, partial], { n }) => {
    for (let i = 0; i < n!; i++)
      partial![Math.floor(i / 4096)] = (i % 4096 ? partial![Math.floor(i / 4096)]! : 0) + x![i]! ** 2
  },
  norm_finish: ([partial, norm], { n }) => {
    norm![0] = Math.sqrt(partial!.subarray(0, n!).reduce((a, b) => a + b, 0))
  },
  adamw: ([p, g, m, v, norm], w) => {
    const scale = w.maxNorm! > 0 ? Math.min(1, w.maxNorm! / (norm![0]! + 1e-6)) : 1
    for (let i = 0; i < w.n!; i++) {
      const d = g![i]! * scale
      m![i] = w.beta1! * m![i]! + (1 - w.beta1!) * d
      v![i] = w.beta2! * v![i]! + (1 - w.beta2!) * d * d
      const step = (m![i]! * w.correction1!) / (Math.sqrt(v![i]! * w.correction2!) + w.eps!)
      put(p!, i, -w.lr! * (step + w.weightDecay! * p![i]!))
    }
  },
}

const scores: Record<string, Kernel> = {
  logprob_tile: ([logits, targets, state], w) => {
    for (let i = 0; i < w.rows!; i++) {
      let [m, s, t, zt] = w.first ? [-Infinity, 0, 0, 0] : (state!.subarray(i * 4, i * 4 + 4) as unknown as number[])
      for (let j = 0; j < w.tileWidth! && w.tileStart! + j < w.vocab!; j++) {
        const z = logits![i * w.tileWidth! + j]! * w.invTemperature!
        const top = Math.max(m!, z)
        const shrink = Math.exp(m! - top)
        s = s! * shrink + Math.exp(z - top)
        t = t! * shrink + Math.exp(z - top) * z
        m = top
        if (targets![i] === w.tileStart! + j) zt = z
      }
      state!.set([m!, s!, t!, zt!], i * 4)
    }
  },
  logprob_finish: ([state, out], { rows }) => {
    for (let i = 0; i < rows!; i++) {
      const [m, s, t, zt] = state!.subarray(i * 4, i * 4 + 4)
      const lse = m! + Math.log(s!)
      out!.set([zt! - lse, lse - t! / s!, lse, 0], i * 4)
    }
  },
  logprob_back_tile: ([logits, targets, out, dout], w) => {
    for (let i = 0; i < w.rows!; i++)
      for (let j = 0; j < w.tileWidth!; j++) {
        const at = i * w.tileWidth! + j
        const logp = logits![at]! * w.invTemperature! - out![i * 4 + 2]!
        const p = w.tileStart! + j < w.vocab! ? Math.exp(logp) : 0
        const hit = targets![i] === w.tileStart! + j ? 1 : 0
        const entropy = p === 0 ? 0 : p * (logp + out![i * 4 + 1]!)
        logits![at] = w.invTemperature! * (dout![i * 2]! * (hit - p) - dout![i * 2 + 1]! * entropy)
      }
  },
  /** Another generator than the real kernels': only its keys are the same. */
  sample_tile: ([logits, keys, best, ids], w) => {
    for (let i = 0; i < w.rows!; i++) {
      if (w.first) best![i] = -Infinity
      for (let j = 0; j < w.tileWidth! && w.tileStart! + j < w.vocab!; j++) {
        let state = w.tileStart! + j
        for (let n = 0; n < 5; n++)
          state = Math.imul(state ^ keys![i * 8 + n]! ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
        const u = ((state >>> 8) + 0.5) / 2 ** 24
        const score = logits![i * w.tileWidth! + j]! * w.invTemperature! - w.noise! * Math.log(-Math.log(u))
        if (score > best![i]!) {
          best![i] = score
          ids![i] = w.tileStart! + j
        }
      }
    }
  },
}

const kernels: Readonly<Record<string, Kernel>> = { ...norms, ...attentions, ...elementwise, ...tables, ...scores }

export interface ReferenceExecutor extends Executor {
  /** The region in full precision; writes are seen by the next run. */
  region(name: string): Float64Array
}

export function createReferenceExecutor(): ReferenceExecutor {
  const regions = new Map<string, Float64Array>()
  const region = (name: string) => {
    const found = regions.get(name)
    if (!found) throw new Error(`reference executor: region ${name} was not allocated.`)
    return found
  }
  return {
    kind: 'cpu',
    describe: () => 'reference, f64',
    region,
    allocate: (name, elements) => void regions.set(name, new Float64Array(elements)),
    writeRegion: (name, offset, data) => region(name).set(data, offset),
    readRegion: async (name, offset, length) => Float32Array.from(region(name).subarray(offset, offset + length)),
    load: (plan) => loadPlan(plan, region),
    // it has no device: nothing to count
    counters: () => ({ allocations: regions.size, bindings: 0, runs: 0, starts: 0, readBacks: 0 }),
    byteLength: () => [...regions.values()].reduce((total, array) => total + array.byteLength, 0),
    close: async () => {},
  }
}

function loadPlan(plan: Plan, region: (name: string) => Float64Array): LoadedPlan {
  // stale memory is NaN, so that anything read before it is written shows
  const arena = new Float64Array(plan.arenaByteLength / 4).fill(Number.NaN)
  const view = ({ region: name, byteOffset, byteLength }: ReturnType<Plan['place']>) =>
    (name === null ? arena : region(name)).subarray(byteOffset / 4, (byteOffset + byteLength) / 4)
  return {
    plan,
    write: (tensor: Tensor, data, offset = 0) => view(plan.place(tensor)).set(data, offset),
    async read(tensor, rows) {
      const count = rows === undefined ? plan.place(tensor).byteLength / 4 : rows * tensor.rows.count * tensor.width
      const values = view(plan.place(tensor)).subarray(0, count)
      return tensor.dtype === 'i32' ? Int32Array.from(values) : Float32Array.from(values)
    },
    run(phase: string, live: Live = {}) {
      const { first, count } = plan.phases[phase]!
      for (const step of plan.steps.slice(first, first + count)) {
        const words = Object.fromEntries(step.words.map(({ name, word }) => [name, wordValue(word, live)]))
        kernels[step.kernel.name]!(step.bindings.map(view), words)
      }
    },
    free: () => {},
  }
}
