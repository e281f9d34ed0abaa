/**
 * Log-probabilities and entropies of given tokens under one region of weights (the current weights, or the frozen reference), forward only.
 */
import { type Executor, type LoadedPlan, planGraph } from '@axpo/kernels'
import type { ModelConfig } from './config.ts'
import { type PackCapacities, planMicroBatches, type TrainSequence } from './pack.ts'
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

export interface ScorerOptions {
  readonly config: ModelConfig
  readonly list: ParameterList
  readonly processor: ProcessorConfig
  readonly executor: Executor
  readonly region: string
  readonly capacities: PackCapacities
}

export class Scorer {
  private readonly options: ScorerOptions
  private readonly packed: PackedGraph
  private readonly plan: LoadedPlan

  constructor(options: ScorerOptions) {
    this.options = options
    this.packed = buildPackedGraph({ ...options, gradientRegion: null })
    this.plan = options.executor.load(planGraph(this.packed.graph))
  }

  async score(sequences: readonly TrainSequence[], temperature = 1): Promise<Scores> {
    const { config, processor, capacities } = this.options
    const scores = createScores(sequences)
    for (const batch of planMicroBatches(sequences, config.imageTokenId, processor, capacities)) {
      writeMicroBatch(this.plan, this.packed, batch, processor)
      await this.plan.run('forward', liveWords(batch, temperature))
      await readScores(this.plan, this.packed, batch, scores)
    }
    return scores
  }

  close(): void {
    this.plan.free()
  }
}
