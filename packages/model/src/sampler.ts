/**
 * Samples continuations for many sequences at once (continuous batching) with a shared, forkable KV cache. Fits the agent's Sampler port.
 * Not here: the graphs (sampler-graph.ts), which row holds what (kv-cache.ts), the learner.
 *
 * What a sequence gets never depends on what else is in the batch: every kernel reduces in one fixed order and random numbers are keyed by
 * (seed, step, question, sample, context index).
 */
import type { Executor, LoadedPlan } from '@axpo/kernels'
import { planGraph } from '@axpo/kernels'
import type { ModelConfig } from './config.ts'
import { FeaturePool } from './feature-pool.ts'
import { KvCache, type Lease } from './kv-cache.ts'
import type { WeightState } from './learner.ts'
import type { ImageRef } from './pack.ts'
import { writeVision } from './packed-graph.ts'
import type { ParameterList } from './parameters.ts'
import { findImageRuns, type ImageRun, planPositions } from './positions.ts'
import { imageGrid, type ProcessorConfig } from './processor.ts'
import {
  buildEncodeGraph,
  buildStepGraph,
  type EncodeGraph,
  FEATURES,
  featureElements,
  KV,
  kvElements,
  type SamplerCapacities,
  type StepGraph,
} from './sampler-graph.ts'
import { StepRows } from './sampler-step.ts'

export interface SampleRequest {
  /** The whole context; image pads already expanded. */
  readonly tokens: Int32Array
  readonly images: readonly ImageRef[]
  readonly maxTokens: number
  /** Generation ends after one of these, which is part of the result. */
  readonly stopTokens: readonly number[]
  /** 0: the most likely token; its log-probability is then that of temperature 1. */
  readonly temperature: number
  readonly key: { readonly seed: number; readonly step: number; readonly question: number; readonly sample: number }
}

export interface SampleResult {
  readonly tokens: Int32Array
  /** Natural logarithm, nats. */
  readonly logprobs: Float32Array
  readonly entropies: Float32Array
  readonly finish: 'stop' | 'length'
  readonly weightVersion: number
}

export interface SamplerStatistics {
  /** Token rows run through the model, prefill and decode. */
  computedTokens: number
  sampledTokens: number
  steps: number
  encodedImages: number
}

interface Running {
  readonly request: SampleRequest
  readonly resolve: (result: SampleResult) => void
  readonly reject: (error: Error) => void
  readonly runs: readonly ImageRun[]
  /** The whole context. */
  readonly tokens: number[]
  /** [tokens, 3] of the prompt. */
  readonly positions: Int32Array
  /** Position of the first sampled token. */
  readonly nextPosition: number
  lease: Lease
  featureStarts: number[]
  readonly sampled: number[]
  readonly logprobs: number[]
  readonly entropies: number[]
  finish: 'stop' | 'length' | null
}

/** Lets other macrotasks run: requests made meanwhile join the next step. */
const nextMacrotask = (): Promise<void> =>
  new Promise((resolve) => (typeof setImmediate === 'function' ? setImmediate(resolve) : setTimeout(resolve, 0)))

export interface SamplerOptions {
  readonly config: ModelConfig
  readonly list: ParameterList
  readonly processor: ProcessorConfig
  readonly executor: Executor
  readonly region: string
  readonly capacities: SamplerCapacities
  readonly weights: Readonly<WeightState>
}

export class NanoSampler {
  readonly statistics: SamplerStatistics = { computedTokens: 0, sampledTokens: 0, steps: 0, encodedImages: 0 }
  private readonly options: SamplerOptions
  private readonly encode: EncodeGraph
  private readonly step: StepGraph
  private readonly encodePlan: LoadedPlan
  private readonly stepPlan: LoadedPlan
  private readonly cache: KvCache
  private readonly features: FeaturePool
  private readonly imageKeys = new Map<string, number>()
  private readonly rows: StepRows
  /** Sequences of the step's sampling rows, in order. */
  private readonly ready: Running[] = []
  private waiting: Running[] = []
  private running: Running[] = []
  private looping = false
  private cachedGeneration: number

  constructor(options: SamplerOptions) {
    const { config, list, executor, region, capacities } = options
    this.options = options
    this.cache = new KvCache(capacities.kvRows)
    this.features = new FeaturePool(capacities.featureRows)
    this.rows = new StepRows(config.text, capacities)
    this.cachedGeneration = options.weights.generation
    executor.allocate(KV, kvElements(config, capacities))
    executor.allocate(FEATURES, featureElements(config, capacities))
    this.encode = buildEncodeGraph(config, list, region, capacities)
    this.step = buildStepGraph(config, list, region, capacities)
    this.encodePlan = executor.load(planGraph(this.encode.graph))
    this.stepPlan = executor.load(planGraph(this.step.graph), { manyRuns: true })
    this.rows.writeFixed(this.stepPlan, this.step)
  }

  /** Continues `request.tokens`. Rejects with an error for a context the model cannot take. */
  sample(request: SampleRequest): Promise<SampleResult> {
    return new Promise((resolve, reject) => {
      try {
        this.waiting.push(this.prepare(request, resolve, reject))
      } catch (error) {
        reject(error as Error)
        return
      }
      if (!this.looping) {
        this.looping = true
        void this.loop()
      }
    })
  }

  close(): void {
    this.encodePlan.free()
    this.stepPlan.free()
  }

  private prepare(request: SampleRequest, resolve: Running['resolve'], reject: Running['reject']): Running {
    const { config, processor, capacities } = this.options
    const { tokens, images, maxTokens, temperature } = request
    if (tokens.length === 0) throw new Error('sample: tokens must not be empty, got 0. Pass the prompt.')
    if (!(maxTokens >= 1)) throw new Error(`sample: maxTokens must be at least 1, got ${maxTokens}. Ask for a token.`)
    if (!(temperature >= 0))
      throw new Error(
        `sample: temperature must be at least 0, got ${temperature}. Use 1 to sample from the model itself.`,
      )
    if (tokens.length + maxTokens > config.text.maxPositions)
      throw new Error(
        `sample: context of ${tokens.length} + ${maxTokens} tokens must be at most ${config.text.maxPositions}. Shorten it.`,
      )
    if (tokens.length + maxTokens > capacities.kvRows - 32)
      throw new Error(
        `sample: context of ${tokens.length} + ${maxTokens} tokens must fit in ${capacities.kvRows} KV rows. Raise kvRows.`,
      )
    for (const token of tokens)
      if (token < 0 || token >= config.text.vocabSize)
        throw new Error(
          `sample: token ids must be in 0..${config.text.vocabSize - 1}, got ${token}. Use this model's tokenizer.`,
        )
    const runs = findImageRuns(
      tokens,
      config.imageTokenId,
      images.map((ref) => imageGrid(ref.image, processor)),
    )
    const imageTokens = runs.reduce((total, run) => total + run.tokenCount, 0)
    if (imageTokens > capacities.featureRows || runs.some((run) => run.tokenCount > capacities.encodeTokens))
      throw new Error(
        `sample: images of ${imageTokens} tokens must fit in ${capacities.featureRows} feature rows and each in ${capacities.encodeTokens}. Raise featureRows or encodeTokens.`,
      )
    const { positions, next } = planPositions(tokens.length, runs)
    return {
      request,
      resolve,
      reject,
      runs,
      tokens: Array.from(tokens),
      positions,
      nextPosition: next,
      lease: { rows: [], ranges: [], keys: [], sharedCount: 0, privateComputed: 0 },
      featureStarts: [],
      sampled: [],
      logprobs: [],
      entropies: [],
      finish: null,
    }
  }

  private async loop(): Promise<void> {
    try {
      while (this.waiting.length + this.running.length > 0) {
        await nextMacrotask()
        this.checkWeights()
        if (this.waiting.length > 0) await this.admit()
        await this.advance()
      }
    } catch (error) {
      const failed = [...this.running, ...this.waiting]
      for (const sequence of this.running) this.drop(sequence)
      this.running = []
      this.waiting = []
      // KV rows counted as computed may not be: forget them all
      this.cache.clear()
      this.imageKeys.clear()
      this.features.clear()
      for (const sequence of failed) sequence.reject(error as Error)
    } finally {
      this.looping = false
    }
  }

  private drop(sequence: Running): void {
    this.cache.release(sequence.lease)
    for (const ref of sequence.request.images) this.features.unpin(ref.sha256)
  }

  /** Forgets what the weights of before gave. */
  private checkWeights(): void {
    const { generation } = this.options.weights
    if (generation === this.cachedGeneration) return
    if (this.running.length > 0)
      throw new Error(
        `sample: weights changed while ${this.running.length} sequences run. Step the learner between rollouts.`,
      )
    this.cache.clear()
    this.imageKeys.clear()
    this.features.clear()
    this.cachedGeneration = generation
  }

  /** Starts waiting sequences in order while there is room. */
  private async admit(): Promise<void> {
    const encode: { ref: ImageRef; start: number; tokenCount: number }[] = []
    while (this.waiting.length > 0 && this.running.length < this.options.capacities.sequences) {
      const sequence = this.waiting[0]!
      const lease = this.cache.acquire(this.contextKeys(sequence), sequence.request.maxTokens)
      if (!lease) break
      const starts = this.placeImages(sequence, encode)
      if (!starts) {
        this.cache.release(lease)
        break
      }
      sequence.lease = lease
      sequence.featureStarts = starts
      this.running.push(sequence)
      this.waiting.shift()
    }
    if (this.running.length === 0)
      throw new Error(
        `sample: a context of ${this.waiting[0]!.tokens.length} tokens must fit in the empty KV pool of ${this.cache.rowCount} rows. Raise kvRows or featureRows.`,
      )
    await this.encodeImages(encode)
  }

  private contextKeys(sequence: Running): number[] {
    const keys = sequence.tokens.slice()
    sequence.runs.forEach((run, i) => {
      const { sha256 } = sequence.request.images[i]!
      let key = this.imageKeys.get(sha256)
      if (key === undefined) {
        key = -1 - this.imageKeys.size
        this.imageKeys.set(sha256, key)
      }
      keys.fill(key, run.tokenStart, run.tokenStart + run.tokenCount)
    })
    return keys
  }

  private placeImages(
    sequence: Running,
    encode: { ref: ImageRef; start: number; tokenCount: number }[],
  ): number[] | null {
    const starts: number[] = []
    const { images } = sequence.request
    for (const [i, ref] of images.entries()) {
      let start = this.features.pin(ref.sha256)
      if (start === undefined) {
        start = this.features.place(ref.sha256, sequence.runs[i]!.tokenCount)
        if (start !== undefined) encode.push({ ref, start, tokenCount: sequence.runs[i]!.tokenCount })
      }
      if (start === undefined) {
        for (const held of images.slice(0, i)) this.features.unpin(held.sha256)
        return null
      }
      starts.push(start)
    }
    return starts
  }

  private async encodeImages(images: readonly { ref: ImageRef; start: number; tokenCount: number }[]): Promise<void> {
    const { config, processor, capacities } = this.options
    for (let i = 0; i < images.length; ) {
      const batch: { start: number; tokenCount: number; image: ImageRef['image'] }[] = []
      const destination: number[] = []
      for (; i < images.length && destination.length + images[i]!.tokenCount <= capacities.encodeTokens; i++) {
        const { ref, start, tokenCount } = images[i]!
        batch.push({ start: destination.length, tokenCount, image: ref.image })
        for (let t = 0; t < tokenCount; t++) destination.push(start + t)
      }
      writeVision(this.encodePlan, this.encode.graph, this.encode.vision, config, processor, {
        tokenCount: destination.length,
        images: batch,
      })
      this.encodePlan.write(this.encode.destination, Int32Array.from(destination))
      await this.encodePlan.run('forward', { I: destination.length })
      this.statistics.encodedImages += batch.length
    }
  }

  /** Picks the rows of one step: sequences of one temperature, oldest first. */
  private planStep(temperature: number): void {
    const { rows, ready } = this
    rows.clear()
    ready.length = 0
    for (const sequence of this.running) {
      const { lease, request } = sequence
      if (request.temperature !== temperature) continue
      const room = rows.room(lease.ranges.length / 2)
      if (room <= 0) break
      const last = this.cache.scheduleLast(lease)
      if (last >= 0) this.addRow(sequence, last)
      else {
        const indices = this.cache.schedule(lease, room)
        for (const index of indices) this.addRow(sequence, index)
        if (indices.length === 0 || !this.cache.isComplete(lease)) continue
      }
      rows.select(request.key, sequence.tokens.length)
      ready.push(sequence)
    }
  }

  private addRow(sequence: Running, index: number): void {
    const { lease, runs, tokens, positions, request } = sequence
    const kvRow = lease.rows[index]!
    const generated = index - request.tokens.length
    if (generated >= 0) {
      this.rows.addToken(tokens[index]!, sequence.nextPosition + generated, kvRow, lease.ranges, index + 1)
      return
    }
    const run = runs.findIndex((r) => index >= r.tokenStart && index < r.tokenStart + r.tokenCount)
    if (run < 0) this.rows.addToken(tokens[index]!, positions[index * 3]!, kvRow, lease.ranges, index + 1)
    else {
      const feature = sequence.featureStarts[run]! + index - runs[run]!.tokenStart
      this.rows.addImage(feature, positions, index, kvRow, lease.ranges, index + 1)
    }
  }

  /** The temperature group rotates, so that none starves. */
  private pickTemperature(): number {
    const first = this.running[0]!.request.temperature
    if (this.running.every(({ request }) => request.temperature === first)) return first
    const temperatures = [...new Set(this.running.map((sequence) => sequence.request.temperature))]
    return temperatures[this.statistics.steps % temperatures.length]!
  }

  private async advance(): Promise<void> {
    const temperature = this.pickTemperature()
    this.planStep(temperature)
    const { count, selectedCount } = this.rows
    if (count === 0) throw new Error('sample: no row could be scheduled. Raise stepTokens or stepSpans.')
    this.rows.write(this.stepPlan, this.step)
    await this.stepPlan.run('forward', {
      T: count,
      S: selectedCount,
      invTemperature: temperature === 0 ? 1 : 1 / temperature,
      noise: temperature === 0 ? 0 : 1,
    })
    this.statistics.steps++
    this.statistics.computedTokens += count
    if (selectedCount > 0) await this.collect()
  }

  private async collect(): Promise<void> {
    const { ready } = this
    const count = ready.length
    // asked for in one turn: one wait for the device
    const [ids, out] = await Promise.all([
      this.stepPlan.read(this.step.ids, count),
      this.stepPlan.read(this.step.out, count),
    ])
    this.statistics.sampledTokens += count
    let finished = 0
    for (let i = 0; i < count; i++) {
      const sequence = ready[i]!
      sequence.sampled.push(ids[i]!)
      sequence.logprobs.push(out[i * 4]!)
      sequence.entropies.push(out[i * 4 + 1]!)
      this.extend(sequence, ids[i]!)
      if (sequence.finish) finished++
    }
    if (finished > 0) this.running = this.running.filter((sequence) => !sequence.finish || this.finish(sequence))
  }

  /** Hands over the result. False: it runs no longer. */
  private finish(sequence: Running): false {
    this.drop(sequence)
    sequence.resolve({
      tokens: Int32Array.from(sequence.sampled),
      logprobs: Float32Array.from(sequence.logprobs),
      entropies: Float32Array.from(sequence.entropies),
      finish: sequence.finish!,
      weightVersion: this.options.weights.version,
    })
    return false
  }

  /** An image pad cannot be a context (no image belongs to it): sampling one ends the sequence as cut. */
  private extend(sequence: Running, token: number): void {
    const { maxTokens, stopTokens } = sequence.request
    if (stopTokens.includes(token)) sequence.finish = 'stop'
    else if (sequence.sampled.length >= maxTokens || token === this.options.config.imageTokenId)
      sequence.finish = 'length'
    if (sequence.finish) return
    sequence.tokens.push(token)
    this.cache.append(sequence.lease, token)
  }
}
