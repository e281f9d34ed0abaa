/** Cases of the gradient norm and AdamW: one step from any moments, more elements than a partial sum of the norm has. */
import { type ConformanceCase, randomValues } from '../../conformance.ts'
import { Graph, type Tensor } from '../../graph.ts'
import { planGraph } from '../../plan.ts'
import { adamwReference } from './adamw.reference.ts'
import { optimiser } from './adamw.ts'

const SETTINGS = { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, count: 3 }
const NAMES = ['p', 'g', 'm', 'v'] as const

/** n elements for T rows: 1 at T = 1, and more than a partial sum of the norm at T = 131. The optimiser has no live rows. */
function adamwCase(maxNorm: number): ConformanceCase {
  return {
    name: `adamw, ${maxNorm > 0 ? `clipped to ${maxNorm}` : 'not clipped'}`,
    async run(executor, T, region, poison) {
      const n = Math.max(1, (T * T) >> 1)
      const state = NAMES.map((name, i) => randomValues(n, i + 3).map((x) => (name === 'v' ? x * x : x)))
      // a NaN with clipping makes the scale NaN, and with it everything: the norm tells it
      if (poison) state[1]![0] = Number.NaN
      const g = new Graph()
      const [params, grads, m, v] = NAMES.map((name, i) => {
        executor.allocate(region(name), n)
        executor.writeRegion(region(name), 0, state[i]!)
        return g.persistent(name, region(name), 0, 1, n)
      }) as [Tensor, Tensor, Tensor, Tensor]
      const { lr, beta1, beta2, eps, weightDecay, count } = SETTINGS
      const groups = [{ params, grads, m, v, weightDecay }]
      const norm = optimiser(g, { grads, groups, beta1, beta2, eps, maxNorm })
      const loaded = executor.load(planGraph(g))
      await loaded.run('forward', { lr, correction1: 1 / (1 - beta1 ** count), correction2: 1 / (1 - beta2 ** count) })
      const got = [...(await loaded.read(norm))]
      for (const name of ['p', 'm', 'v'] as const) got.push(...(await executor.readRegion(region(name), 0, n)))
      loaded.free()
      const [p64, g64, m64, v64] = state.map((values) => Float64Array.from(values)) as Float64Array[]
      const next = adamwReference({ p: p64!, g: g64!, m: m64!, v: v64! }, { ...SETTINGS, maxNorm })
      const want = [next.norm, ...next.p, ...next.m, ...next.v]
      // the first element and the norm must tell; whether the scale does is the device's
      return poison ? { got: [got[0]!, got[1]!], want: [want[0]!, want[1]!] } : { got, want }
    },
  }
}

export const cases: readonly ConformanceCase[] = [adamwCase(1), adamwCase(0)]
