/**
 * One step of reinforcement learning on synthetic questions: sample, optionally resample forks (AXPO's continuations), pack, forward and backward, AdamW.
 * Rewards and advantages are left out; product-step.ts runs the real step. Lengths are fixed by the caller, so every variant does the same work.
 */
import type { Model, SampleResult, TrainSequence } from '../packages/model/src/index.ts'
import { checkLengths, sampleToLength } from './full-length.ts'
import { timed } from './timing.ts'
import { createPrompt, type Prompt, unshared, type Workload } from './workload.ts'

export interface RlVariant {
  /** False: every rollout has a prompt of its own, of the same size. */
  readonly shared: boolean
  /** Continuations as a fraction of the rollouts; AXPO's is 0.25. */
  readonly continuations: number
  /** Sampled tokens of rollout i of n. */
  readonly lengthOf: (i: number) => number
  /** Default PROMPT_TOKENS. */
  readonly promptTokens?: number
}

/** 15 to 45 tokens, as nano's rollouts have. */
export const variedLength = (i: number): number => 15 + ((i * 17) % 31)

export interface RlTimes {
  readonly sampledTokens: number
  /** Rows run through the model by the sampler, and by the learner. */
  readonly samplerRows: number
  readonly learnerRows: number
  readonly encodedImages: number
  readonly sampleMs: number
  readonly learnMs: number
  readonly wholeMs: number
}

const CONTINUATIONS_A_FORK = 4

interface Rollout {
  readonly prompt: Prompt
  readonly tokens: Int32Array
  /** Tokens before this are not trained. */
  readonly trainFrom: number
}

function join(prompt: Prompt, context: Int32Array, { tokens }: SampleResult): Rollout {
  return { prompt, tokens: Int32Array.from([...context, ...tokens]), trainFrom: context.length }
}

/** A fork in the middle of what was sampled, continued to the source's length. */
async function continueForks(
  model: Model,
  rollouts: readonly Rollout[],
  variant: RlVariant,
  step: number,
): Promise<Rollout[]> {
  const count = Math.round(rollouts.length * variant.continuations)
  const forks = Math.ceil(count / CONTINUATIONS_A_FORK)
  return Promise.all(
    Array.from({ length: count }, async (_, k) => {
      const fork = Math.floor(k / CONTINUATIONS_A_FORK)
      const source = rollouts[Math.floor((fork * rollouts.length) / forks)]!
      const prefix = source.trainFrom + ((source.tokens.length - source.trainFrom) >> 1)
      const context = source.tokens.slice(0, prefix)
      const prompt = variant.shared ? source.prompt : unshared(source.prompt, rollouts.length + k)
      if (!variant.shared) context[0] = prompt.tokens[0]!
      const key = { seed: 1, step, question: fork, sample: 1000 + k }
      const maxTokens = source.tokens.length - prefix
      const result = await sampleToLength(model.sampler, {
        tokens: context,
        images: prompt.images,
        maxTokens,
        stopTokens: [],
        temperature: 1,
        key,
      })
      return join(prompt, context, result)
    }),
  )
}

async function sampleAll(
  model: Model,
  { config, sizes }: Workload,
  variant: RlVariant,
  step: number,
): Promise<Rollout[]> {
  const prompts = Array.from({ length: sizes.questions }, (_, q) =>
    createPrompt(config, step * sizes.questions + q, variant.promptTokens),
  )
  const rollouts = await Promise.all(
    Array.from({ length: sizes.questions * sizes.samples }, async (_, i) => {
      const question = Math.floor(i / sizes.samples)
      const prompt = variant.shared ? prompts[question]! : unshared(prompts[question]!, i)
      const key = { seed: 1, step, question, sample: i % sizes.samples }
      const request = { ...prompt, maxTokens: variant.lengthOf(i), stopTokens: [], temperature: 1, key }
      const result = await sampleToLength(model.sampler, request)
      checkLengths([result], request.maxTokens)
      return join(prompt, prompt.tokens, result)
    }),
  )
  return [...rollouts, ...(await continueForks(model, rollouts, variant, step))]
}

async function learn(model: Model, rollouts: readonly Rollout[]): Promise<number> {
  const sequences: TrainSequence[] = rollouts.map(({ prompt, tokens, trainFrom }) => ({
    tokens,
    images: prompt.images,
    selected: new Uint8Array(tokens.length).fill(1, trainFrom),
  }))
  const batch = model.learner.pack(sequences)
  const gradients = rollouts.map(({ tokens }, i) => new Float32Array(tokens.length).fill(i % 2 === 0 ? 1e-3 : -1e-3))
  await model.learner.backward(batch, gradients)
  await model.learner.step(1e-5)
  return batch.rowCount
}

/** `step` numbers the step: new images and texts, and new weights since the last one, as in training. */
export async function runRlStep(model: Model, workload: Workload, variant: RlVariant, step: number): Promise<RlTimes> {
  const before = { ...model.sampler.statistics }
  const [rollouts, sampleMs] = await timed(() => sampleAll(model, workload, variant, step))
  const [learnerRows, learnMs] = await timed(() => learn(model, rollouts))
  const after = model.sampler.statistics
  return {
    sampledTokens: rollouts.reduce((sum, { tokens, trainFrom }) => sum + tokens.length - trainFrom, 0),
    samplerRows: after.computedTokens - before.computedTokens,
    learnerRows,
    encodedImages: after.encodedImages - before.encodedImages,
    sampleMs,
    learnMs,
    wholeMs: sampleMs + learnMs,
  }
}
