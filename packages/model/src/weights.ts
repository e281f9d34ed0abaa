/**
 * Parameters as tensors of a graph: names to slices of the flat region, with their gradients when the graph is trained.
 */
import type { Graph, Tensor } from '@axpo/kernels'
import type { ParameterList } from './parameters.ts'

export interface Weights {
  get(name: string): Tensor
  /** Rows [first, first + count) of a matrix. */
  rows(name: string, first: number, count: number): Tensor
  /** Elements [first, first + count) of a vector. */
  elements(name: string, first: number, count: number): Tensor
}

/** `gradientRegion` null: the graph is not trained. */
export function bindWeights(g: Graph, list: ParameterList, region: string, gradientRegion: string | null): Weights {
  const bound = new Map<string, Tensor>()
  const make = (name: string, offset: number, rows: number, width: number): Tensor => {
    const gradient =
      gradientRegion === null ? undefined : g.persistent(`d ${name}`, gradientRegion, offset, rows, width)
    return g.persistent(name, region, offset, rows, width, gradient)
  }
  const find = (name: string) => {
    const parameter = list.byName.get(name)
    if (!parameter) throw new Error(`weights: no parameter ${name} in this config. This is a bug in the model's graph.`)
    return parameter
  }
  const get = (name: string): Tensor => {
    let tensor = bound.get(name)
    if (!tensor) {
      const parameter = find(name)
      tensor = make(name, parameter.offset, parameter.rows, parameter.width)
      bound.set(name, tensor)
    }
    return tensor
  }
  return {
    get,
    rows: (name, first, count) => g.slice(get(name), first, count),
    elements: (name, first, count) => make(`${name}[${first}:${first + count}]`, find(name).offset + first, 1, count),
  }
}
