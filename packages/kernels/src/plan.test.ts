import { expect, test } from 'vitest'
import { buildBackward } from './autodiff.ts'
import { Graph } from './graph.ts'
import { add, fill, gelu, linear } from './ops/index.ts'
import { forwardCalls, planGraph } from './plan.ts'

function chain(length: number) {
  const g = new Graph({ T: 64 })
  const x = g.host('x', g.symbol('T'), 64)
  let y = x
  for (let i = 0; i < length; i++) y = gelu(g, y, 'tanh')
  return { g, x, y }
}

test('activations share memory once dead: a chain of any length needs two buffers beside its host input', () => {
  const { g } = chain(10)
  expect(planGraph(g).arenaByteLength).toBe(3 * 64 * 64 * 4)
})

test('equal graphs have equal hashes, others do not', () => {
  expect(planGraph(chain(3).g).hash).toBe(planGraph(chain(3).g).hash)
  expect(planGraph(chain(3).g).hash).not.toBe(planGraph(chain(4).g).hash)
})

test('overlapping bindings of one call are refused', () => {
  const g = new Graph()
  const [a, b] = [0, 32].map((offset) => g.persistent(`at${offset}`, 'r', offset, 1, 64)) as [never, never]
  add(g, a, b)
  expect(() => planGraph(g)).toThrow('overlap')
})

test('a residual addition copies no gradient when its branch is read first', () => {
  const g = new Graph()
  const parameter = (name: string, offset: number) =>
    g.persistent(name, 'p', offset, 64, 64, g.persistent(`d${name}`, 'g', offset, 64, 64))
  const x = linear(g, g.host('x', 4, 64), parameter('a', 0))
  const y = linear(g, add(g, x, linear(g, x, parameter('b', 4096))), parameter('c', 8192))
  const names = buildBackward(g, [[y, g.host('dy', 4, 64)]]).map((call) => call.kernel.name)
  expect(names).not.toContain('accumulate')
})

test('a gradient into an op without one is an error that names it', () => {
  const g = new Graph()
  const y = g.activation('y', 1, 4)
  const w = g.persistent('w', 'p', 0, 1, 4, g.persistent('dw', 'g', 0, 1, 4))
  fill(g, y, 0)
  g.append({ name: 'opaque', kernels: [], forward: () => {} }, [w], [y])
  expect(() => buildBackward(g, [[y, g.host('dy', 1, 4)]])).toThrow('opaque')
  expect(forwardCalls(g).length).toBe(1)
})
