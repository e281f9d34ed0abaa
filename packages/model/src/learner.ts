/**
 * The algorithm-blind learner: forward (log-probabilities, entropies), backward (given dLoss/dlogp), step (AdamW), save, load. It knows no
 * group, advantage or reward. Losses are token sums; all normalisation is in the weights the caller gives.
 */

import {
  buildBackward,
  type Executor,
  fill,
  forwardCalls,
  Graph,
  type LoadedPlan,
  optimiser,
  planGraph,
  type Tensor,
} from '@axpo/kernels'
import { join } from '#files'
import { loadParameters, saveParameters } from './checkpoint.ts'
import type { ModelConfig } from './config.ts'
import { type MicroBatch, type PackCapacities, planMicroBatches, type TrainSequence } from './pack.ts'
import {
  buildPackedGraph,
  createScores,
  liveWords,
  type PackedGraph,
  readScores,
  type Scores,
  writeMicroBatch,
} from './packed-graph.ts'
import type { ParameterList } from './parameters.ts'
import type { ProcessorConfig } from './processor.ts'
import { loadTensor, loadTensorIndex, saveTensors } from './safetensors.ts'

export const PARAMS = 'params'
const GRADS = 'grads'
const FIRST = 'm'
const SECOND = 'v'

/** Which weights are in place; shared by learner, sampler and model. */
export interface WeightState {
  /** Recorded with every sampled token; saved and restored with the optimiser. */
  version: number
  /** Goes up with every change, also when a load sets the version back: what caches are checked against. */
  generation: number
}

export interface OptimiserSettings {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** Of matrices and embeddings; gains and biases are never decayed. */
  readonly weightDecay: number
  /** Gradients are scaled to at most this global norm; 0: off. */
  readonly maxGradientNorm: number
}

export const defaultOptimiser: OptimiserSettings = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
}

/** Packed sequences: made once, used for forward and backward. */
export interface TrainBatch {
  readonly sequences: readonly TrainSequence[]
  readonly microBatches: readonly MicroBatch[]
  /** Rows computed, shared prefixes once. */
  readonly rowCount: number
}

export interface StepResult {
  /** Global norm before clipping. */
  readonly gradientNorm: number
  readonly weightVersion: number
}

export interface LearnerOptions {
  readonly config: ModelConfig
  readonly list: ParameterList
  readonly processor: ProcessorConfig
  readonly executor: Executor
  readonly capacities: PackCapacities
  readonly optimiser: OptimiserSettings
  readonly weights: WeightState
}

export class Learner {
  private readonly options: LearnerOptions
  private readonly packed: PackedGraph
  private readonly plan: LoadedPlan
  private readonly optimiserPlan: LoadedPlan
  private readonly norm: Tensor
  /** The micro-batch whose activations are in the arena. */
  private resident: MicroBatch | null = null
  private residentTemperature = 1
  /** Steps taken, for the bias corrections. */
  private stepCount = 0

  constructor(options: LearnerOptions) {
    const { list, executor } = options
    this.options = options
    for (const region of [GRADS, FIRST, SECOND]) executor.allocate(region, list.elementCount)
    this.packed = buildPackedGraph({ ...options, region: PARAMS, gradientRegion: GRADS })
    const graph = this.packed.graph
    this.plan = executor.load(
      planGraph(graph, { phases: { forward: forwardCalls(graph), backward: buildBackward(graph) } }),
    )
    const { graph: optimiserGraph, norm } = buildOptimiser(list, options.optimiser)
    this.norm = norm
    this.optimiserPlan = executor.load(planGraph(optimiserGraph))
  }

  /** Goes up by one with every change of the weights. */
  get weightVersion(): number {
    return this.options.weights.version
  }

  pack(sequences: readonly TrainSequence[]): TrainBatch {
    const { config, processor, capacities } = this.options
    const microBatches = planMicroBatches(sequences, config.imageTokenId, processor, capacities)
    return { sequences, microBatches, rowCount: microBatches.reduce((total, batch) => total + batch.tokens.length, 0) }
  }

  /** Log-probability and entropy of every selected token. */
  async forward(batch: TrainBatch, temperature = 1): Promise<Scores> {
    const scores = createScores(batch.sequences)
    for (const micro of batch.microBatches) {
      await this.runForward(micro, temperature)
      await readScores(this.plan, this.packed, micro, scores)
    }
    return scores
  }

  /**
   * Adds the gradient of the loss to the accumulated gradients. dLogprobs (and dEntropies) have one array a sequence and one entry a token;
   * sequences that share a token sum theirs. Runs the forward pass where its activations are not there any more; returns its values.
   */
  async backward(
    batch: TrainBatch,
    dLogprobs: readonly Float32Array[],
    dEntropies?: readonly Float32Array[],
    temperature = 1,
  ): Promise<Scores> {
    checkGradients(batch, 'dLogprobs', dLogprobs)
    if (dEntropies) checkGradients(batch, 'dEntropies', dEntropies)
    const scores = createScores(batch.sequences)
    for (const micro of batch.microBatches) {
      if (micro.selectionRows.length === 0) continue
      if (this.resident !== micro || this.residentTemperature !== temperature) await this.runForward(micro, temperature)
      await readScores(this.plan, this.packed, micro, scores)
      const dout = new Float32Array(micro.selectionRows.length * 2)
      for (let u = 0; u < micro.uses.length; u += 3) {
        const [sequence, token, selection] = [micro.uses[u]!, micro.uses[u + 1]!, micro.uses[u + 2]!]
        dout[selection * 2]! += dLogprobs[sequence]![token]!
        if (dEntropies) dout[selection * 2 + 1]! += dEntropies[sequence]![token]!
      }
      this.plan.write(this.packed.dout!, dout)
      await this.plan.run('backward', liveWords(micro, temperature))
      // the backward pass reuses memory of the forward pass
      this.resident = null
    }
    return scores
  }

  private async runForward(micro: MicroBatch, temperature: number): Promise<void> {
    this.resident = null
    writeMicroBatch(this.plan, this.packed, micro, this.options.processor)
    await this.plan.run('forward', liveWords(micro, temperature))
    this.resident = micro
    this.residentTemperature = temperature
  }

  /** One AdamW step on the accumulated gradients, which are then zero. */
  async step(learningRate: number): Promise<StepResult> {
    if (!(learningRate >= 0))
      throw new Error(`step: learning rate must be at least 0, got ${learningRate}. Check the schedule.`)
    const { beta1, beta2 } = this.options.optimiser
    const count = this.stepCount + 1
    await this.optimiserPlan.run('forward', {
      lr: learningRate,
      correction1: 1 / (1 - beta1 ** count),
      correction2: 1 / (1 - beta2 ** count),
    })
    const gradientNorm = (await this.optimiserPlan.read(this.norm))[0]!
    this.stepCount = count
    this.weightsChanged()
    if (!Number.isFinite(gradientNorm))
      throw new Error(
        `step: the gradient norm must be finite, got ${gradientNorm}. Load the last checkpoint and lower the learning rate.`,
      )
    return { gradientNorm, weightVersion: this.weightVersion }
  }

  private weightsChanged(): void {
    this.options.weights.version++
    this.options.weights.generation++
    this.resident = null
  }

  /** Replaces the weights (flat region of planParameters). */
  setParameters(flat: Float32Array): void {
    const { list, executor } = this.options
    if (flat.length !== list.elementCount)
      throw new Error(
        `learner: parameters must have ${list.elementCount} elements, got ${flat.length}. Use the flat region of this config.`,
      )
    executor.writeRegion(PARAMS, 0, flat)
    this.weightsChanged()
  }

  parameters(): Promise<Float32Array> {
    return this.options.executor.readRegion(PARAMS, 0, this.options.list.elementCount)
  }

  /** The accumulated gradients, laid out as the parameters. */
  gradients(): Promise<Float32Array> {
    return this.options.executor.readRegion(GRADS, 0, this.options.list.elementCount)
  }

  /** Writes config.json and model.safetensors; with `optimiser`, also optimiser.safetensors, so that training goes on with the same bytes. */
  async save(
    directory: string,
    options: { readonly optimiser?: boolean; readonly dtype?: 'F32' | 'BF16' } = {},
  ): Promise<void> {
    const { config, list, executor } = this.options
    await saveParameters(config, await this.parameters(), directory, options.dtype ?? 'F32')
    if (!options.optimiser) return
    const moments = await Promise.all(
      [FIRST, SECOND].map(async (name) => ({
        name,
        shape: [list.elementCount],
        data: await executor.readRegion(name, 0, list.elementCount),
      })),
    )
    const counts = { name: 'counts', shape: [2], data: Float32Array.of(this.stepCount, this.weightVersion) }
    await saveTensors(join(directory, 'optimiser.safetensors'), [...moments, counts])
  }

  /** Reads weights, and with `optimiser` the moments, step count and weight version. */
  async load(directory: string, options: { readonly optimiser?: boolean } = {}): Promise<void> {
    const { config, list, executor } = this.options
    const flat = await loadParameters(config, directory)
    if (!options.optimiser) return this.setParameters(flat)
    const path = join(directory, 'optimiser.safetensors')
    const index = await loadTensorIndex(path)
    const read = (name: string, shape: readonly number[]) => {
      const entry = index.get(name)
      if (!entry)
        throw new Error(
          `learner: ${path} must hold ${name} [${shape}], got no such tensor. Use a checkpoint saved with its optimiser.`,
        )
      return loadTensor(name, entry, shape)
    }
    const [first, second, counts] = [
      await read(FIRST, [list.elementCount]),
      await read(SECOND, [list.elementCount]),
      await read('counts', [2]),
    ]
    this.setParameters(flat)
    executor.writeRegion(FIRST, 0, first)
    executor.writeRegion(SECOND, 0, second)
    executor.writeRegion(GRADS, 0, new Float32Array(list.elementCount))
    this.stepCount = counts[0]!
    this.options.weights.version = counts[1]!
  }

  close(): void {
    this.plan.free()
    this.optimiserPlan.free()
  }
}

function checkGradients(batch: TrainBatch, name: string, gradients: readonly Float32Array[]): void {
  batch.sequences.forEach(({ tokens }, i) => {
    if (gradients[i]?.length !== tokens.length)
      throw new Error(
        `backward: ${name}[${i}] must have ${tokens.length} entries, got ${gradients[i]?.length}. Pass one a token of the sequence.`,
      )
  })
}

/** Norm, AdamW over the decayed and the undecayed part of the flat region, gradients cleared. */
function buildOptimiser(list: ParameterList, settings: OptimiserSettings): { graph: Graph; norm: Tensor } {
  const graph = new Graph()
  const part = (region: string, first: number, count: number) =>
    graph.persistent(`${region} ${first}`, region, first, 1, count)
  const group = (first: number, count: number, weightDecay: number) => ({
    params: part(PARAMS, first, count),
    grads: part(GRADS, first, count),
    m: part(FIRST, first, count),
    v: part(SECOND, first, count),
    weightDecay,
  })
  const grads = part(GRADS, 0, list.elementCount)
  const norm = optimiser(graph, {
    grads,
    groups: [
      group(0, list.decayedCount, settings.weightDecay),
      group(list.decayedCount, list.elementCount - list.decayedCount, 0),
    ],
    beta1: settings.beta1,
    beta2: settings.beta2,
    eps: settings.epsilon,
    maxNorm: settings.maxGradientNorm,
  })
  fill(graph, grads, 0)
  return { graph, norm }
}
