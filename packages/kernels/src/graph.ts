/**
 * The op list: a model is a pure function that appends ops on tensors to a Graph, once a shape. No tensor exists at run time.
 * Not here: memory (plan.ts), gradients (autodiff.ts), kernels (ops/*).
 *
 * Legend. Every tensor is a contiguous row-major matrix [rows, width]. `rows` may depend on a live symbol
 * (for example T = packed tokens), known only when a plan runs, up to a capacity fixed when the graph is built.
 */
import type { OpDefinition } from './ops/definition.ts'

export type Dtype = 'f32' | 'i32'

/** Row count: `count` rows, times the live value of `symbol` when there is one. */
export interface Rows {
  readonly symbol: string | null
  readonly count: number
}

/** Where a tensor's elements live: the plan's arena, a persistent buffer of the executor, or a slice of another tensor. */
export type Storage =
  | { readonly kind: 'arena'; readonly host: boolean }
  | { readonly kind: 'persistent'; readonly region: string; readonly offset: number }

export interface Tensor {
  readonly id: number
  readonly name: string
  readonly rows: Rows
  readonly width: number
  readonly dtype: Dtype
  readonly storage: Storage
  /** Set on parameters: the tensor its gradient is added to. */
  readonly gradient?: Tensor
}

export interface Op {
  readonly definition: OpDefinition
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attributes: Readonly<Record<string, number | string>>
}

export type RowsLike = number | Rows

export function rowsOf(rows: RowsLike): Rows {
  return typeof rows === 'number' ? { symbol: null, count: rows } : rows
}

export function timesRows(rows: Rows, factor: number): Rows {
  return { symbol: rows.symbol, count: rows.count * factor }
}

export function sameRows(a: Rows, b: Rows): boolean {
  return a.symbol === b.symbol && a.count === b.count
}

export class Graph {
  readonly tensors: Tensor[] = []
  readonly ops: Op[] = []
  /** Largest live value of each symbol. */
  readonly capacities: Readonly<Record<string, number>>

  constructor(capacities: Readonly<Record<string, number>> = {}) {
    this.capacities = capacities
  }

  symbol(name: string): Rows {
    if (this.capacities[name] === undefined)
      throw new Error(`graph: no capacity for symbol ${name}. Pass it to new Graph({ ${name}: … }).`)
    return { symbol: name, count: 1 }
  }

  /** Rows at the symbol's capacity: what memory is planned for. */
  capacityRows(rows: Rows): number {
    return rows.symbol === null ? rows.count : rows.count * this.capacities[rows.symbol]!
  }

  private add(name: string, rows: RowsLike, width: number, dtype: Dtype, storage: Storage, gradient?: Tensor): Tensor {
    const shaped = rowsOf(rows)
    if (!Number.isInteger(width) || width < 1)
      throw new Error(`graph: width of ${name} must be a positive integer, got ${width}.`)
    const tensor: Tensor = {
      id: this.tensors.length,
      name,
      rows: shaped,
      width,
      dtype,
      storage,
      ...(gradient ? { gradient } : {}),
    }
    this.tensors.push(tensor)
    return tensor
  }

  /** Intermediate of the plan: planned by liveness, gone when the plan ends. */
  activation(name: string, rows: RowsLike, width: number, dtype: Dtype = 'f32'): Tensor {
    return this.add(name, rows, width, dtype, { kind: 'arena', host: false })
  }

  /** Written or read by the host between runs: keeps its own place for the whole plan. */
  host(name: string, rows: RowsLike, width: number, dtype: Dtype = 'f32'): Tensor {
    return this.add(name, rows, width, dtype, { kind: 'arena', host: true })
  }

  /** A slice of a persistent buffer of the executor, shared between plans (weights, gradients, moments, KV). Offset in elements. */
  persistent(
    name: string,
    region: string,
    offset: number,
    rows: RowsLike,
    width: number,
    gradient?: Tensor,
    dtype: Dtype = 'f32',
  ): Tensor {
    return this.add(name, rows, width, dtype, { kind: 'persistent', region, offset }, gradient)
  }

  /** Rows [first, first + count) of a persistent tensor (a vocabulary tile, the q part of a fused qkv weight); its gradient is sliced alike. */
  slice(tensor: Tensor, first: number, count: number): Tensor {
    if (tensor.storage.kind !== 'persistent' || tensor.rows.symbol !== null)
      throw new Error(`slice: only fixed persistent tensors can be sliced, got ${tensor.name}.`)
    if (first < 0 || first + count > tensor.rows.count)
      throw new Error(`slice: rows ${first}..${first + count} outside ${tensor.name} [${tensor.rows.count}].`)
    const { region, offset } = tensor.storage
    const gradient = tensor.gradient ? this.slice(tensor.gradient, first, count) : undefined
    return this.persistent(
      `${tensor.name}[${first}:${first + count}]`,
      region,
      offset + first * tensor.width,
      count,
      tensor.width,
      gradient,
      tensor.dtype,
    )
  }

  /** The same elements seen as [rows, width], for per-head norms and for merging 2x2 patch rows. */
  reshape(tensor: Tensor, rows: Rows, width: number): Tensor {
    if (rows.symbol !== tensor.rows.symbol || rows.count * width !== tensor.rows.count * tensor.width)
      throw new Error(
        `reshape: ${tensor.name} [${tensor.rows.count}, ${tensor.width}] cannot become [${rows.count}, ${width}].`,
      )
    const view = this.add(`${tensor.name}:${width}`, rows, width, tensor.dtype, tensor.storage, tensor.gradient)
    this.aliases.set(view.id, this.root(tensor))
    return view
  }

  /** Views share memory and gradient with the tensor they were made from. */
  private readonly aliases = new Map<number, Tensor>()
  root(tensor: Tensor): Tensor {
    return this.aliases.get(tensor.id) ?? tensor
  }

  append(
    definition: OpDefinition,
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    attributes: Record<string, number | string> = {},
  ): void {
    this.ops.push({ definition, inputs, outputs, attributes })
  }
}
