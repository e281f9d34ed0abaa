/**
 * What an op and a kernel declare. An op (ops/<name>/<name>.ts) lists the kernel calls of its forward and its backward rule;
 * a kernel is one WGSL entry point and one AssemblyScript function with the same bindings and words in the same order.
 */
import type { Op, Rows, Tensor } from '../graph.ts'

/**
 * One 32-bit parameter of a kernel call. `i`/`f`: fixed integer / float. `rows`: a row count, times its live symbol.
 * `live`: a float given at each run (learning rate, temperature).
 */
export type Word = { readonly i: number } | { readonly f: number } | { readonly rows: Rows } | { readonly live: string }

/** Word values as seen by `workgroups`: integers as numbers (floats are not needed there). */
export type WordView = Readonly<Record<string, number>>

/**
 * How the threads of the CPU share a call: chunks of so many of the items that a word counts (default: the first word), or as many chunks as the
 * AssemblyScript function `by` of the op's folder says.
 */
export type ChunkRule = { readonly items: number; readonly of?: string } | { readonly by: string }

export interface KernelSpec {
  readonly name: string
  /** Tensors in binding order; '+' marks those the kernel writes. At most 8: the smallest limit of WebGPU. */
  readonly bindings: readonly string[]
  /** Parameter names in order; a name that ends in ':f' is a float. At most 20. */
  readonly words: readonly string[]
  /** WGSL file beside the op, its entry point is `main_<name>`. URL resolved by the WebGPU executor. */
  readonly wgsl: URL
  /** WGSL file for drivers that run on the CPU, where `wgsl` does badly there: same entry point, bindings, words and workgroups. */
  readonly softwareWgsl?: URL
  /** Largest integer words the WGSL is written for, by name; a plan beyond them is refused when a device loads it. */
  readonly most: Readonly<Record<string, number>>
  readonly chunk: ChunkRule
  /** WebGPU workgroups for given words. */
  workgroups(words: WordView): readonly [number, number, number]
}

/** Emits one kernel call into the plan. Tensors by binding name, words by name (without ':f'). */
export type Emit = (
  kernel: KernelSpec,
  tensors: Readonly<Record<string, Tensor>>,
  words: Readonly<Record<string, Word>>,
) => void

export interface BackwardContext {
  readonly emit: Emit
  /** Gradient of an output, or undefined when nothing downstream used it. */
  outputGradient(tensor: Tensor): Tensor | undefined
  /**
   * Where to put the gradient of an input, and whether to add to what is there (1) or to overwrite (0). Parameters always add.
   * Undefined when the input needs no gradient.
   */
  inputGradient(tensor: Tensor): { readonly tensor: Tensor; readonly acc: 0 | 1 } | undefined
  /** Like inputGradient, for rules that can only overwrite: throws if something was already written there. */
  inputGradientOnce(tensor: Tensor): Tensor | undefined
  /** The gradient of each input is the output's own: shares its buffer where that is safe, copies or adds where it is not. */
  passGradient(inputs: readonly Tensor[], outputGradient: Tensor): void
  /** Scratch of the backward pass. */
  scratch(name: string, rows: Rows, width: number): Tensor
}

export interface OpDefinition {
  readonly name: string
  readonly kernels: readonly KernelSpec[]
  forward(op: Op, emit: Emit): void
  /** Absent: the op has no gradient, and asking for one is an error when the plan is built. */
  backward?(op: Op, context: BackwardContext): void
  /** Gradients that enter the graph at this op: pairs (output, tensor the host fills with its gradient). */
  seeds?(op: Op): readonly (readonly [Tensor, Tensor])[]
}

export const int = (i: number): Word => ({ i })
export const float = (f: number): Word => ({ f })
export const rowsWord = (rows: Rows): Word => ({ rows })
export const live = (name: string): Word => ({ live: name })

/** Number of elements of a tensor as a word. */
export function sizeWord(tensor: Tensor): Word {
  return { rows: { symbol: tensor.rows.symbol, count: tensor.rows.count * tensor.width } }
}

/** Declares a kernel; its WGSL is `<name with dashes>.wgsl` beside the op's file, given as `url` (the op's import.meta.url), with `software` also `<…>.software.wgsl`. */
export function kernel(
  url: string,
  name: string,
  bindings: string,
  words: string,
  workgroups: (words: WordView) => readonly [number, number, number],
  { most = {}, chunk, software = false }: { most?: KernelSpec['most']; chunk?: ChunkRule; software?: boolean } = {},
): KernelSpec {
  const names = words.split(' ')
  const file = name.replaceAll('_', '-')
  return {
    name,
    bindings: bindings.split(' '),
    words: names,
    wgsl: new URL(`./${file}.wgsl`, url),
    ...(software && { softwareWgsl: new URL(`./${file}.software.wgsl`, url) }),
    most,
    // elements of a flat range are many, rows are few
    chunk: chunk ?? { items: names[0] === 'n' ? 4096 : 16 },
    workgroups,
  }
}

/** A number for a list of kernels and their chunks: the CPU build has that of the list it was made from. */
export function listNumber(kernels: readonly KernelSpec[]): number {
  const text = kernels.map(({ name, words, chunk }) => `${name} ${words} ${JSON.stringify(chunk)}`).join('\n')
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

/** Workgroups for a flat range, folded into two dimensions (a dimension holds at most 65535). */
export function flatWorkgroups(items: number, perGroup: number): readonly [number, number, number] {
  const groups = Math.max(1, Math.ceil(items / perGroup))
  return groups <= 32768 ? [groups, 1, 1] : [32768, Math.ceil(groups / 32768), 1]
}
