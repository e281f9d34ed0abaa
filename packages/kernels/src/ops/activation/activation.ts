/** Element-wise activations: SwiGLU and the two GELUs (tanh in vision blocks, erf in mergers). */
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, int, type KernelSpec, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.n!, 64)
const at = (name: string) => new URL(`./${name}.wgsl`, import.meta.url)

export const swigluKernel: KernelSpec = {
  name: 'swiglu',
  bindings: ['g', 'u', '+y'],
  words: ['n'],
  wgsl: at('swiglu'),
  workgroups: flat,
}
export const swigluBack: KernelSpec = {
  name: 'swiglu_back',
  bindings: ['g', 'u', 'dy', '+dg', '+du'],
  words: ['n'],
  wgsl: at('swiglu_back'),
  workgroups: flat,
}
export const geluKernel: KernelSpec = {
  name: 'gelu',
  bindings: ['x', '+y'],
  words: ['n', 'kind'],
  wgsl: at('gelu'),
  workgroups: flat,
}
export const geluBack: KernelSpec = {
  name: 'gelu_back',
  bindings: ['x', 'dy', '+dx'],
  words: ['n', 'kind'],
  wgsl: at('gelu_back'),
  workgroups: flat,
}

const swigluDefinition: OpDefinition = {
  name: 'swiglu',
  kernels: [swigluKernel, swigluBack],
  forward({ inputs: [g, u], outputs: [y] }, emit) {
    emit(swigluKernel, { g: g!, u: u!, y: y! }, { n: sizeWord(y!) })
  },
  backward({ inputs: [g, u], outputs: [y] }, context) {
    const dy = context.outputGradient(y!)
    if (!dy) return
    const dg = context.inputGradientOnce(g!)
    const du = context.inputGradientOnce(u!)
    if (dg && du) context.emit(swigluBack, { g: g!, u: u!, dy, dg, du }, { n: sizeWord(y!) })
  },
}

const geluDefinition: OpDefinition = {
  name: 'gelu',
  kernels: [geluKernel, geluBack],
  forward({ inputs: [x], outputs: [y], attributes }, emit) {
    emit(geluKernel, { x: x!, y: y! }, { n: sizeWord(y!), kind: int(attributes.kind as number) })
  },
  backward({ inputs: [x], outputs: [y], attributes }, context) {
    const dy = context.outputGradient(y!)
    const dx = dy && context.inputGradientOnce(x!)
    if (dx) context.emit(geluBack, { x: x!, dy, dx }, { n: sizeWord(y!), kind: int(attributes.kind as number) })
  },
}

/** silu(g) * u, element-wise. */
export function swiglu(graph: Graph, g: Tensor, u: Tensor): Tensor {
  if (g.width !== u.width) throw new Error(`swiglu: both inputs must have one width, got ${g.width} and ${u.width}.`)
  const y = graph.activation(`${g.name}.swiglu`, g.rows, g.width)
  graph.append(swigluDefinition, [g, u], [y])
  return y
}

/** GELU: 'tanh' = gelu_pytorch_tanh, 'erf' = exact. */
export function gelu(graph: Graph, x: Tensor, kind: 'tanh' | 'erf'): Tensor {
  const y = graph.activation(`${x.name}.gelu`, x.rows, x.width)
  graph.append(geluDefinition, [x], [y], { kind: kind === 'tanh' ? 0 : 1 })
  return y
}
