/**
 * The product's own step of reinforcement learning (apps/train/src/rl-step.ts) on questions made beforehand: chat template, tokenizer, images, agent loop,
 * sampler, parser, grading, advantages, loss, packing, forward, backward, AdamW and the step's diagnostics. Recipe: GRPO as TRL's default has it.
 * Two things are the benchmark's: every rollout runs to one length (full-length.ts), and since random weights answer nothing, rewards are drawn.
 * Not here: files and progress lines, which the loop around the step writes.
 */

import { agentPorts, openSession, type Session } from '../apps/eval/src/index.ts'
import { type RlSettings, rlStep, type Trainer } from '../apps/train/src/rl-step.ts'
import { loadAdvantage } from '../packages/advantage/src/index.ts'
import { createToolRegistry, type RolloutSetting, type Task } from '../packages/agent/src/index.ts'
import type { CpuBuild } from '../packages/kernels/src/index.ts'
import { findRecipe, type Recipe } from '../packages/policy/src/index.ts'
import { checkLengths, sampleToLength } from './full-length.ts'
import { now } from './timing.ts'
import { noiseImage } from './workload.ts'

export interface ProductSizes {
  readonly questions: number
  readonly rollouts: number
  /** Sampled tokens a rollout. */
  readonly tokens: number
  readonly steps: number
}

export interface ProductTimes {
  readonly wholeMs: number
  readonly sampleMs: number
  readonly learnMs: number
  readonly sampledTokens: number
}

export interface ProductStep {
  /** Of every question: they all have as many. */
  readonly promptTokens: number
  /** `step` counts from 0, each once. */
  run(step: number): Promise<ProductTimes>
  close(): Promise<void>
}

/** As TRL's default: DAPO's loss, one mean over all tokens of the batch, both clips 0.2, no reference model. */
const recipeFor = (rollouts: number): Recipe => ({
  ...findRecipe('grpo'),
  rollouts,
  aggregation: 'token-mean',
  klWeight: 0,
  clipHigh: 0.2,
})

/** Four digits, so that every question has as many tokens; torch_peer.py asks the same. */
const questionText = (index: number): string => {
  const digits = (value: number) => String(value % 10_000).padStart(4, '0')
  return `compute ${digits(index)} * ${digits(index + 3)} % 13 % 4`
}

/** Right every other time: groups whose rewards are all equal would have nothing to learn. */
function createTask(index: number): Task {
  let asked = 0
  const content = [{ type: 'image' as const }, { type: 'text' as const, text: questionText(index) }]
  return {
    questionId: `bench-${index}`,
    family: 'python',
    split: 'train',
    messages: [{ role: 'user', content }],
    images: [noiseImage(index)],
    tools: [],
    documents: [],
    grade: () => asked++ % 2,
  }
}

function setting(session: Session, tokens: number): RolloutSetting {
  const { codec } = agentPorts(session)
  const { sampler } = session.model
  return {
    sampler: { sample: (request) => sampleToLength(sampler, request) },
    codec,
    tools: createToolRegistry([]),
    temperature: 1,
    limits: { turns: 0, turnTokens: tokens, contextTokens: 512, invalidCalls: 1 },
    images: new Map(),
  }
}

/** Prompt tokens of a question: where its rollout's first segment ends. Throws where two differ. */
function checkPrompts(session: Session, tasks: readonly Task[]): number {
  const { codec } = session
  const counts = new Set(
    tasks.map(({ messages, images }) => {
      const text = codec.encode(codec.renderPrompt(messages, []))
      return text.length - images.length + images.reduce((sum, image) => sum + codec.imageTokenCount(image), 0)
    }),
  )
  if (counts.size !== 1)
    throw new Error(`bench: every prompt must have as many tokens, got ${[...counts].join(', ')}. Change questionText.`)
  return [...counts][0]!
}

export async function openProductStep(
  threads: number,
  device: 'cpu' | 'webgpu',
  sizes: ProductSizes,
  build?: CpuBuild,
): Promise<ProductStep> {
  const { questions, rollouts, tokens, steps } = sizes
  const tasks = Array.from({ length: questions * steps }, (_, index) => createTask(index))
  const session = await openSession({ device, threads, ...(build ? { build } : {}) })
  session.model.initialise(1)
  const promptTokens = checkPrompts(session, tasks)
  const agent = setting(session, tokens)
  const trainer: Trainer = { session, agent, advantage: await loadAdvantage(), taskRow: (index) => tasks[index]! }
  const settings: RlSettings = {
    recipe: recipeFor(rollouts),
    seed: 1,
    steps,
    questions,
    easyShare: 0,
    families: ['python'],
    learningRate: 1e-5,
    warmUpSteps: 0,
  }
  return {
    promptTokens,
    async run(step) {
      const start = now()
      const result = await rlStep(trainer, settings, step)
      const wholeMs = now() - start
      const sampled = result.rollouts.map((t) => ({ tokens: t.trainable.filter((flag) => flag === 1) }))
      if (sampled.length !== questions * rollouts)
        throw new Error(`bench: a step must have ${questions * rollouts} rollouts, got ${sampled.length}.`)
      checkLengths(sampled, tokens)
      return {
        wholeMs,
        sampleMs: result.sampleSeconds * 1000,
        learnMs: result.learnSeconds * 1000,
        sampledTokens: sampled.length * tokens,
      }
    },
    async close() {
      await session.close()
    },
  }
}
