/** That the suite of conformance.ts sees a gradient that is wrong in one element, wherever it lies. */
import { afterAll, expect, test } from 'vitest'
import { type GradientCase, runCase } from './conformance.ts'
import { createCpuExecutor } from './cpu/executor.ts'
import type { Executor } from './executor.ts'
import { swiglu } from './ops/index.ts'
import { swigluReference } from './ops/swiglu/swiglu.reference.ts'

const T = 37
const WIDTH = 13

const executor = await createCpuExecutor({ threads: 1 })
afterAll(() => executor.close())

/** The gate's width is the up's: both gradients have T x WIDTH elements, the second's after the first's. */
const item: GradientCase = {
  name: 'swiglu',
  activations: [WIDTH, WIDTH],
  parameters: [],
  build: (g, [gate, up]) => swiglu(g, gate!, up!),
  reference:
    () =>
    ([gate, up]) =>
      swigluReference(gate!, up!),
}

/** The executor, but one element of what is read from a region is wrong by `by`. */
function wrongAt(index: number, by: number): Executor {
  return new Proxy(executor, {
    get(target, key) {
      if (key === 'readRegion')
        return async (region: string, offset: number, length: number) => {
          const values = await target.readRegion(region, offset, length)
          values[index]! += by
          return values
        }
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test('right gradients pass', async () => {
  expect((await runCase(executor, item, T)).gradientError).toBeLessThan(2e-5)
})

test.each([
  ['first', 0],
  ['end of the first row', WIDTH - 1],
  ['in the tail of a row within', 17 * WIDTH + 12],
  ['in the last row', 36 * WIDTH + 5],
  ['last', T * WIDTH - 1],
])('a wrong gradient is seen: %s', async (_, index) => {
  const { gradientError, faults } = await runCase(wrongAt(index, 0.02), item, T)
  expect(faults).toEqual([])
  expect(gradientError).toBeGreaterThan(2e-4)
})
