/**
 * Gradients: walks the op list backwards once, at build time, and collects the kernel calls of the backward rules.
 * Convention: a parameter's gradient is always added to its `gradient` tensor; activations' gradients are activations of the same shape.
 */
import type { Graph, Op, Rows, Tensor } from './graph.ts'
import { accumulate } from './ops/add/add.ts'
import { type BackwardContext, float, sizeWord } from './ops/definition.ts'
import { fillKernel } from './ops/fill/fill.ts'
import type { Call } from './plan.ts'

/** Pairs (tensor, gradient given by the host). */
export type Seed = readonly [Tensor, Tensor]

/** Backward calls of the graph, from the given seeds and those its ops declare. Adds gradient tensors to the graph. */
export function buildBackward(graph: Graph, seeds: readonly Seed[] = []): Call[] {
  return new Backward(graph, seeds).build()
}

class Backward implements BackwardContext {
  private readonly calls: Call[] = []
  private readonly gradients = new Map<Tensor, Tensor>()
  private readonly given = new Set<Tensor>()
  private readonly trained = new Set<Tensor>()
  private readonly graph: Graph

  constructor(graph: Graph, seeds: readonly Seed[]) {
    this.graph = graph
    const declared = graph.ops.flatMap((op) => op.definition.seeds?.(op) ?? [])
    for (const [tensor, gradient] of [...declared, ...seeds]) {
      this.gradients.set(graph.root(tensor), gradient)
      this.given.add(gradient)
    }
    for (const op of graph.ops)
      if (op.inputs.some((input) => this.needsGradient(input)))
        for (const output of op.outputs) this.trained.add(graph.root(output))
  }

  build(): Call[] {
    for (const op of [...this.graph.ops].reverse()) {
      const wanted =
        op.outputs.some((output) => this.outputGradient(output)) && op.inputs.some((input) => this.needsGradient(input))
      if (!wanted) continue
      if (!op.definition.backward)
        throw new Error(`backward: ${op.definition.name} has no gradient, but one flows into ${op.outputs[0]?.name}.`)
      op.definition.backward(op, this)
    }
    return this.calls
  }

  emit: BackwardContext['emit'] = (kernel, tensors, words) => {
    this.calls.push({ kernel, tensors, words })
  }

  outputGradient(tensor: Tensor): Tensor | undefined {
    const gradient = this.gradients.get(this.graph.root(tensor))
    return gradient && this.shaped(gradient, tensor)
  }

  inputGradient(tensor: Tensor): { tensor: Tensor; acc: 0 | 1 } | undefined {
    if (!this.needsGradient(tensor)) return undefined
    if (tensor.gradient) return { tensor: tensor.gradient, acc: 1 }
    const root = this.graph.root(tensor)
    const existing = this.gradients.get(root)
    if (existing) return { tensor: this.shaped(existing, tensor), acc: 1 }
    const gradient = this.graph.activation(`d(${root.name})`, root.rows, root.width)
    this.gradients.set(root, gradient)
    return { tensor: this.shaped(gradient, tensor), acc: 0 }
  }

  inputGradientOnce(tensor: Tensor): Tensor | undefined {
    const gradient = this.inputGradient(tensor)
    if (gradient?.acc)
      throw new Error(
        `backward: ${tensor.name} already has a gradient and this op can only overwrite it. Use the tensor once.`,
      )
    return gradient?.tensor
  }

  passGradient(inputs: readonly Tensor[], outputGradient: Tensor): void {
    const order = [...inputs].sort((a, b) => this.producer(a) - this.producer(b))
    let shared = this.given.has(this.graph.root(outputGradient))
    for (const [index, input] of order.entries()) {
      if (!this.needsGradient(input)) continue
      const root = this.graph.root(input)
      const safe =
        !shared || (index > 0 && !this.given.has(this.graph.root(outputGradient)) && this.isBranchOf(input, order[0]!))
      if (!input.gradient && !this.gradients.has(root) && safe) {
        this.gradients.set(root, this.shaped(outputGradient, root))
        shared = true
      } else this.addGradient(input, outputGradient)
    }
  }

  scratch(name: string, rows: Rows, width: number): Tensor {
    return this.graph.activation(name, rows, width)
  }

  /** A shared gradient buffer is read by the branch's producer before anything is added to it for the residual's other consumers. */
  private isBranchOf(branch: Tensor, residual: Tensor): boolean {
    const producer = this.producer(branch)
    return (
      this.consumers(branch).length === 1 &&
      this.producer(residual) < producer &&
      this.consumers(residual).every((op, _, all) => op === all.at(-1) || this.graph.ops.indexOf(op) <= producer)
    )
  }

  private addGradient(input: Tensor, outputGradient: Tensor): void {
    const gradient = this.inputGradient(input)!
    if (!gradient.acc) this.emit(fillKernel, { y: gradient.tensor }, { n: sizeWord(gradient.tensor), value: float(0) })
    this.emit(accumulate, { x: outputGradient, y: gradient.tensor }, { n: sizeWord(gradient.tensor) })
  }

  private needsGradient(tensor: Tensor): boolean {
    return tensor.dtype === 'f32' && (tensor.gradient !== undefined || this.trained.has(this.graph.root(tensor)))
  }

  private shaped(gradient: Tensor, like: Tensor): Tensor {
    if (gradient.width === like.width || this.given.has(gradient)) return gradient
    return this.graph.reshape(gradient, like.rows, like.width)
  }

  private producer(tensor: Tensor): number {
    const root = this.graph.root(tensor)
    return this.graph.ops.findIndex((op) => op.outputs.some((output) => this.graph.root(output) === root))
  }

  private consumers(tensor: Tensor): Op[] {
    const root = this.graph.root(tensor)
    return this.graph.ops.filter((op) => op.inputs.some((input) => this.graph.root(input) === root))
  }
}
