/**
 * What "sampler = trainer to the bit" means, as one body for every back-end. Rollouts of several temperatures run at once, admitted as others end, prefilled in
 * pieces while others decode; as soon as one ends another forks from its middle, while the rest still run. Then every log-probability and
 * entropy must be the learner's, to the bit: packed together into several micro-batches, in another order, and each sequence alone.
 */
import type { Executor } from '@axpo/kernels'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Backend } from './backends.fixture.ts'
import { loadConfig, type ModelConfig } from './config.ts'
import { createInitialParameters } from './init.ts'
import { contexts, randomImage, tinyConfig, tinyParameters, tinyProcessor } from './model.fixture.ts'
import { type Capacities, createModel, type Model } from './model.ts'
import { nanoDirectory } from './nano.ts'
import type { ImageRef, TrainSequence } from './pack.ts'
import { type Scores, VOCABULARY_TILE } from './packed-graph.ts'
import { loadProcessorConfig, type ProcessorConfig } from './processor.ts'
import type { SampleRequest, SampleResult } from './sampler.ts'

interface Subject {
  readonly config: ModelConfig
  readonly processor: ProcessorConfig
  readonly parameters: Float32Array
  readonly prompts: readonly { readonly tokens: Int32Array; readonly images: readonly ImageRef[] }[]
  /** Small: prefill comes in pieces, not all rollouts find room at once, learning takes several micro-batches. */
  readonly capacities: Capacities
  /** 0: greedy, whose log-probabilities are those of temperature 1. */
  readonly temperatures: readonly number[]
  /** Every which rollout is tried alone. */
  readonly aloneEvery: number
}

/** Awkward widths; prompts that share an image, one with two images, one with none. */
function tinySubject(): Subject {
  const config = tinyConfig(true)
  return {
    config,
    processor: tinyProcessor,
    parameters: tinyParameters(config, 5),
    prompts: contexts,
    capacities: {
      train: { tokens: 44, imageTokens: 16, selections: 44, spans: 1024 },
      sample: { stepTokens: 9, sequences: 6, stepSpans: 1024, kvRows: 512, featureRows: 64, encodeTokens: 16 },
    },
    temperatures: [1, 0.7, 1.6, 0],
    aloneEvery: 1,
  }
}

/** A vocabulary of three tiles, the last one ragged, and a head of its own. */
function largeVocabularySubject(): Subject {
  const tiny = tinyConfig(false)
  const config = { ...tiny, text: { ...tiny.text, vocabSize: 2 * VOCABULARY_TILE + 1234 } }
  const { capacities, ...rest } = tinySubject()
  return {
    ...rest,
    capacities: { ...capacities, train: { ...capacities.train, tokens: 28, selections: 28 } },
    config,
    parameters: tinyParameters(config, 6),
    prompts: [contexts[1]!, contexts[3]!],
    temperatures: [1, 0.7],
    aloneEvery: 3,
  }
}

/** The model that is trained: widths that fill the kernels' tiles. */
async function nanoSubject(): Promise<Subject> {
  const config = await loadConfig(nanoDirectory)
  const pads = new Array<number>(16).fill(config.imageTokenId)
  const picture = [config.visionStartTokenId, ...pads, config.visionEndTokenId]
  const [first, second] = [randomImage(32, 32, 1), randomImage(32, 32, 2)]
  return {
    config,
    processor: await loadProcessorConfig(nanoDirectory),
    parameters: createInitialParameters(config, 3),
    prompts: [
      { tokens: Int32Array.from([5, 6, ...picture, 7, 8]), images: [first] },
      { tokens: Int32Array.from([5, 6, ...picture, 7, 9, ...picture, 10]), images: [first, second] },
      { tokens: Int32Array.of(20, 21, 22), images: [] },
    ],
    capacities: {
      train: { tokens: 80, imageTokens: 32, selections: 80, spans: 2048 },
      sample: { stepTokens: 30, sequences: 8, stepSpans: 2048, kvRows: 512, featureRows: 64, encodeTokens: 32 },
    },
    temperatures: [1, 0.7, 0],
    aloneEvery: 5,
  }
}

interface Rollout {
  readonly request: SampleRequest
  readonly result: SampleResult
}

/** A rollout for each prompt and temperature, and a fork of every one: from the middle of it, and at once. */
async function play(
  { sampler }: Model,
  { prompts, temperatures }: Subject,
): Promise<{ rollouts: Rollout[]; overlapping: number }> {
  let running = 0
  let overlapping = 0
  const sample = async (request: SampleRequest): Promise<Rollout> => {
    running++
    const result = await sampler.sample(request)
    running--
    return { request, result }
  }
  const starts = prompts.flatMap((prompt, question) =>
    temperatures.map((temperature) => ({ prompt, question, temperature })),
  )
  const pairs = await Promise.all(
    starts.map(async ({ prompt, question, temperature }, i) => {
      const key = { seed: 1, step: 2, question, sample: i }
      // lengths differ, so that sequences end and begin all the time
      const source = await sample({ ...prompt, maxTokens: 4 + ((i * 5) % 9), stopTokens: [], temperature, key })
      const kept = source.result.tokens.subarray(0, source.result.tokens.length >> 1)
      if (running > 0) overlapping++
      const tokens = Int32Array.from([...prompt.tokens, ...kept])
      const fork = await sample({ ...source.request, tokens, maxTokens: 4, key: { ...key, sample: 1000 + i } })
      return [source, fork]
    }),
  )
  return { rollouts: pairs.flat(), overlapping }
}

const scoringTemperature = (request: SampleRequest) => request.temperature || 1
const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)]
const answerBits = ({ tokens, logprobs, entropies }: SampleResult) => [[...tokens], bits(logprobs), bits(entropies)]

/** What was sampled is what is selected. */
function trainSequence({ request, result }: Rollout): TrainSequence {
  const tokens = Int32Array.from([...request.tokens, ...result.tokens])
  const selected = new Uint8Array(tokens.length).fill(1, request.tokens.length)
  return { tokens, images: request.images, selected }
}

/** Rollouts of one temperature, as a step trains them. */
function groupsOf(rollouts: readonly Rollout[]) {
  return [...new Set(rollouts.map(({ request }) => scoringTemperature(request)))].map((temperature) => ({
    temperature,
    group: rollouts.filter(({ request }) => scoringTemperature(request) === temperature),
  }))
}

function expectSampled(rollouts: readonly Rollout[], scores: Scores): void {
  for (const [i, { request, result }] of rollouts.entries()) {
    const start = request.tokens.length
    const got = [scores.logprobs[i]!, scores.entropies[i]!].map((row) => bits(row.subarray(start)))
    expect(got, `rollout ${i} at temperature ${request.temperature}`).toEqual([
      bits(result.logprobs),
      bits(result.entropies),
    ])
  }
}

/** Forward, and what backward returns, a batch for each temperature; the most micro-batches of one. */
async function expectLearnt({ learner }: Model, rollouts: readonly Rollout[]): Promise<number> {
  let microBatches = 0
  for (const { temperature, group } of groupsOf(rollouts)) {
    const batch = learner.pack(group.map(trainSequence))
    microBatches = Math.max(microBatches, batch.microBatches.length)
    expectSampled(group, await learner.forward(batch, temperature))
    if (temperature !== 1) continue
    const dLogprobs = batch.sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(0.1))
    expectSampled(group, await learner.backward(batch, dLogprobs, undefined, temperature))
  }
  return microBatches
}

/** Learns from some rollouts and plays all again. */
async function expectAfterStep(model: Model, subject: Subject, rollouts: readonly Rollout[]): Promise<void> {
  const { learner } = model
  const batch = learner.pack(rollouts.slice(0, 4).map(trainSequence))
  const dLogprobs = batch.sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(0.1))
  await learner.backward(batch, dLogprobs)
  await learner.step(1e-2)
  const after = (await play(model, subject)).rollouts
  const logprobs = (played: readonly Rollout[]) => played.map(({ result }) => bits(result.logprobs))
  expect(logprobs(after)).not.toEqual(logprobs(rollouts))
  for (const { temperature, group } of groupsOf(after))
    expectSampled(group, await learner.forward(learner.pack(group.map(trainSequence)), temperature))
}

/** Tests of one back-end and one model. `answers` gets what was sampled, to hold back-ends against each other. */
function describeSubject(
  backend: Backend,
  label: string,
  load: () => Promise<Subject>,
  answers: Map<string, unknown>,
): void {
  describe.skipIf(backend.missing !== null)(`sampler = trainer to the bit: ${label} on ${backend.name}`, () => {
    let subject: Subject
    let executor: Executor
    let model: Model
    let rollouts: Rollout[]
    let overlapping = 0

    beforeAll(async () => {
      if (backend.missing !== null) return
      subject = await load()
      executor = await backend.open()
      model = createModel({ ...subject, executor })
      model.setParameters(subject.parameters)
      ;({ rollouts, overlapping } = await play(model, subject))
      answers.set(
        `${label}, ${backend.name}`,
        rollouts.map(({ result }) => answerBits(result)),
      )
    })
    afterAll(() => executor?.close())

    it('the rollouts are many, forked in mid-rollout, and say something', () => {
      expect(rollouts.length).toBe(subject.prompts.length * subject.temperatures.length * 2)
      expect(overlapping).toBeGreaterThan(rollouts.length / 4)
      const logprobs = rollouts.flatMap(({ result }) => [...result.logprobs])
      expect(logprobs.every((p) => Number.isFinite(p) && p < 0)).toBe(true)
      expect(new Set(logprobs).size).toBeGreaterThan(logprobs.length / 2)
    })

    it('prefilled, decoded and forked: what the learner computes in several micro-batches, forward and before its backward', async () => {
      expect(await expectLearnt(model, rollouts)).toBeGreaterThan(1)
    })

    it('packed in another order, scored without gradients, and each sequence alone: the same', async () => {
      for (const { temperature, group } of groupsOf(rollouts)) {
        const backwards = group.toReversed()
        expectSampled(
          backwards,
          await model.learner.forward(model.learner.pack(backwards.map(trainSequence)), temperature),
        )
        expectSampled(group, await model.score(group.map(trainSequence), temperature))
        for (const one of group.filter((_, i) => i % subject.aloneEvery === 0))
          expectSampled([one], await model.learner.forward(model.learner.pack([trainSequence(one)]), temperature))
      }
    })

    it('each sequence sampled alone, with nothing in the caches: the same tokens and numbers', async () => {
      for (const { request, result } of rollouts.filter((_, i) => i % subject.aloneEvery === 0)) {
        model.setParameters(subject.parameters)
        expect(answerBits(await model.sampler.sample(request))).toEqual(answerBits(result))
      }
    })

    it('after a step of the optimiser: nothing old is left, the same again', async () => {
      await expectAfterStep(model, subject, rollouts)
    })
  })
}

/** What `answers` are of: `${subject}, ${backend}`. */
export const subjectNames = ['tiny', 'nano', 'large vocabulary'] as const

export function describeSamplerTrainer(backend: Backend, answers: Map<string, unknown>): void {
  describeSubject(backend, 'tiny', async () => tinySubject(), answers)
  describeSubject(backend, 'nano', nanoSubject, answers)
  describeSubject(backend, 'large vocabulary', async () => largeVocabularySubject(), answers)
}
