import { describe, expect, it } from 'vitest'
import { Graph } from '../graph.ts'
import { add, linear, scatterRows } from '../ops/index.ts'
import { planGraph } from '../plan.ts'
import { meetings } from './meetings.ts'

describe('meetings', () => {
  it('are where a call needs another, or takes its place', () => {
    const g = new Graph({ T: 4 })
    const weight = (i: number) => g.persistent(`w${i}`, 'w', i * 64, 8, 8)
    const x = g.host('x', g.symbol('T'), 8)
    const [a, b] = [linear(g, x, weight(0)), linear(g, x, weight(1))]
    add(g, a, b)
    linear(g, x, weight(2))
    const steps = planGraph(g).steps
    expect(steps.map(({ kernel }) => kernel.name)).toEqual(['gemm', 'gemm', 'add', 'gemm'])
    const [first, second, sum] = meetings(steps)
    expect([first, second]).toEqual([false, true])
    // the last product may lie where a was
    const overlap = steps[3]!.bindings[2]!.byteOffset === steps[0]!.bindings[2]!.byteOffset
    expect(sum).toBe(overlap)
    expect(meetings(steps.slice(0, 2))).toEqual([false, true])
    expect(meetings([])).toEqual([])
  })

  it('part calls on one region that write the same place, not those on two', () => {
    const g = new Graph()
    const pool = (region: string, first: number) => g.persistent(`${region}${first}`, region, first, 2, 8)
    const [x, to] = [g.host('x', 1, 8), g.host('to', 1, 1, 'i32')]
    for (const into of [pool('p', 0), pool('p', 16), pool('q', 0), pool('p', 8)]) scatterRows(g, x, into, to)
    expect(meetings(planGraph(g).steps)).toEqual([false, false, true, true])
  })
})
