/**
 * Puts a model on an executor: one set of weights shared by learner, sampler and scorer, and a second, frozen set as reference.
 */
import type { Executor } from '@axpo/kernels'
import { loadParameters } from './checkpoint.ts'
import type { ModelConfig } from './config.ts'
import { createInitialParameters } from './init.ts'
import { defaultOptimiser, Learner, type OptimiserSettings, PARAMS, type WeightState } from './learner.ts'
import type { ImageRef, PackCapacities, TrainSequence } from './pack.ts'
import type { Scores } from './packed-graph.ts'
import { type ParameterList, planParameters } from './parameters.ts'
import type { ProcessorConfig } from './processor.ts'
import { NanoSampler } from './sampler.ts'
import type { SamplerCapacities } from './sampler-graph.ts'
import { Scorer } from './scorer.ts'

const REFERENCE = 'ref'

export interface Capacities {
  readonly train: PackCapacities
  readonly sample: SamplerCapacities
}

/** Sizes for nano: micro-batches of 4096 tokens, 128 sequences sampled at once. */
export const defaultCapacities: Capacities = {
  train: { tokens: 4096, imageTokens: 1024, selections: 4096, spans: 65536 },
  sample: { stepTokens: 1024, sequences: 128, stepSpans: 65536, kvRows: 65536, featureRows: 16384, encodeTokens: 512 },
}

export interface ModelOptions {
  readonly config: ModelConfig
  readonly processor: ProcessorConfig
  readonly executor: Executor
  readonly capacities?: { readonly train?: Partial<PackCapacities>; readonly sample?: Partial<SamplerCapacities> }
  readonly optimiser?: Partial<OptimiserSettings>
}

export interface Model {
  readonly config: ModelConfig
  readonly parameterList: ParameterList
  readonly capacities: Capacities
  /** Made on first use, as are the others: evaluation needs no memory for gradients. */
  readonly learner: Learner
  readonly sampler: NanoSampler
  weightVersion(): number
  /** Reads weights from a checkpoint folder. */
  load(directory: string): Promise<void>
  initialise(seed: number): void
  setParameters(flat: Float32Array): void
  parameters(): Promise<Float32Array>
  /** Log-probabilities and entropies of sequences under the current weights, forward only. */
  score(sequences: readonly TrainSequence[], temperature?: number): Promise<Scores>
  /** Copies the current weights, or a checkpoint's, into the reference. */
  setReference(directory?: string): Promise<void>
  scoreReference(sequences: readonly TrainSequence[], temperature?: number): Promise<Scores>
  close(): void
}

class LoadedModel implements Model {
  readonly config: ModelConfig
  readonly parameterList: ParameterList
  readonly capacities: Capacities
  private readonly options: ModelOptions
  private learnerMade: Learner | null = null
  private samplerMade: NanoSampler | null = null
  private scorer: Scorer | null = null
  private referenceScorer: Scorer | null = null
  private referenceReady = false
  private readonly weights: WeightState = { version: 0, generation: 0 }

  constructor(options: ModelOptions) {
    this.options = options
    this.config = options.config
    this.parameterList = planParameters(options.config)
    this.capacities = {
      train: { ...defaultCapacities.train, ...options.capacities?.train },
      sample: { ...defaultCapacities.sample, ...options.capacities?.sample },
    }
    checkPatches(options)
    options.executor.allocate(PARAMS, this.parameterList.elementCount)
  }

  private shared() {
    const { config, processor, executor } = this.options
    return { config, processor, executor, list: this.parameterList }
  }

  get learner(): Learner {
    this.learnerMade ??= new Learner({
      ...this.shared(),
      capacities: this.capacities.train,
      optimiser: { ...defaultOptimiser, ...this.options.optimiser },
      weights: this.weights,
    })
    return this.learnerMade
  }

  get sampler(): NanoSampler {
    this.samplerMade ??= new NanoSampler({
      ...this.shared(),
      region: PARAMS,
      capacities: this.capacities.sample,
      weights: this.weights,
    })
    return this.samplerMade
  }

  weightVersion(): number {
    return this.weights.version
  }

  async load(directory: string): Promise<void> {
    this.setParameters(await loadParameters(this.config, directory))
  }

  initialise(seed: number): void {
    this.setParameters(createInitialParameters(this.config, seed))
  }

  setParameters(flat: Float32Array): void {
    if (this.learnerMade) {
      this.learnerMade.setParameters(flat)
      return
    }
    if (flat.length !== this.parameterList.elementCount)
      throw new Error(
        `model: parameters must have ${this.parameterList.elementCount} elements, got ${flat.length}. Use the flat region of this config.`,
      )
    this.options.executor.writeRegion(PARAMS, 0, flat)
    this.weights.version++
    this.weights.generation++
  }

  parameters(): Promise<Float32Array> {
    return this.options.executor.readRegion(PARAMS, 0, this.parameterList.elementCount)
  }

  score(sequences: readonly TrainSequence[], temperature = 1): Promise<Scores> {
    this.scorer ??= new Scorer({ ...this.shared(), region: PARAMS, capacities: this.capacities.train })
    return this.scorer.score(sequences, temperature)
  }

  async setReference(directory?: string): Promise<void> {
    const flat = directory === undefined ? await this.parameters() : await loadParameters(this.config, directory)
    if (!this.referenceReady) this.options.executor.allocate(REFERENCE, this.parameterList.elementCount)
    this.options.executor.writeRegion(REFERENCE, 0, flat)
    this.referenceReady = true
  }

  async scoreReference(sequences: readonly TrainSequence[], temperature = 1): Promise<Scores> {
    if (!this.referenceReady) throw new Error('model: no reference weights. Call setReference() first.')
    this.referenceScorer ??= new Scorer({ ...this.shared(), region: REFERENCE, capacities: this.capacities.train })
    return this.referenceScorer.score(sequences, temperature)
  }

  close(): void {
    for (const part of [this.learnerMade, this.samplerMade, this.scorer, this.referenceScorer]) part?.close()
  }
}

function checkPatches({ config, processor }: ModelOptions): void {
  const { patchSize, temporalPatchSize, mergeSize } = config.vision
  if (
    processor.patchSize !== patchSize ||
    processor.temporalPatchSize !== temporalPatchSize ||
    processor.mergeSize !== mergeSize
  )
    throw new Error(
      `model: preprocessor_config.json must have patch ${patchSize}, temporal ${temporalPatchSize}, merge ${mergeSize} as config.json, got ${processor.patchSize}, ${processor.temporalPatchSize}, ${processor.mergeSize}. Use the two files of one model.`,
    )
}

/** A model of `config` on `executor`; weights are zero until load, initialise or setParameters. */
export function createModel(options: ModelOptions): Model {
  return new LoadedModel(options)
}

export type { ImageRef }
