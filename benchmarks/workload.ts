/**
 * Synthetic work in the shape of the nano tasks: prompts of 45 tokens with one image, random weights, sequences of known length. Every question has its own
 * image and text. Not here: how it is run (rl-step.ts, train.ts, decode.ts).
 */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { CpuBuild, Executor } from '../packages/kernels/src/index.ts'
import {
  type Capacities,
  createModel,
  type ImageRef,
  loadConfig,
  loadProcessorConfig,
  type Model,
  type ModelConfig,
  nanoDirectory,
  type ProcessorConfig,
  type RawImage,
  type TrainSequence,
} from '../packages/model/src/index.ts'
import type { DeviceKind } from './devices.ts'

export const PROMPT_TOKENS = 45
const IMAGE_TOKENS = 16
const IMAGE_SIDE = 128

export type ConfigName = 'nano' | 'small'
/** Folders with config.json and preprocessor_config.json. */
export const directories: Readonly<Record<ConfigName, string>> = {
  nano: nanoDirectory,
  small: fileURLToPath(new URL('./configs/small', import.meta.url)),
}

export interface Sizes {
  /** Of an RL step. */
  readonly questions: number
  readonly samples: number
  /** Of a training step: sequences of equal length, nothing shared, every token but the first trained. */
  readonly sequences: number
  readonly sequenceTokens: number
  /** Of decoding. */
  readonly decodeBatch: number
  readonly decodeTokens: number
  readonly repetitions: number
}

export interface Workload {
  readonly name: ConfigName
  readonly config: ModelConfig
  readonly processor: ProcessorConfig
  readonly sizes: Sizes
}

const fullSizes: Readonly<Record<ConfigName, Sizes>> = {
  nano: {
    questions: 16,
    samples: 8,
    sequences: 32,
    sequenceTokens: 128,
    decodeBatch: 64,
    decodeTokens: 64,
    repetitions: 7,
  },
  small: {
    questions: 4,
    samples: 8,
    sequences: 8,
    sequenceTokens: 128,
    decodeBatch: 64,
    decodeTokens: 32,
    repetitions: 3,
  },
}

const softwareSizes: Readonly<Record<ConfigName, Sizes>> = {
  nano: {
    questions: 2,
    samples: 4,
    sequences: 4,
    sequenceTokens: 96,
    decodeBatch: 16,
    decodeTokens: 8,
    repetitions: 3,
  },
  small: {
    questions: 1,
    samples: 4,
    sequences: 1,
    sequenceTokens: 96,
    decodeBatch: 8,
    decodeTokens: 4,
    repetitions: 1,
  },
}

/** How much to do: --quick shows that everything runs; `repetitions` replaces what each section has. */
export interface Effort {
  readonly quick: boolean
  readonly repetitions?: number | undefined
  /** Of our CPU kernels; default what the executor chooses. */
  readonly build?: CpuBuild | undefined
}

export function sizesFor(name: ConfigName, kind: DeviceKind, { quick, repetitions }: Effort): Sizes {
  const sizes = (kind === 'software' ? softwareSizes : fullSizes)[name]
  if (!quick) return { ...sizes, repetitions: repetitions ?? sizes.repetitions }
  const fewer = softwareSizes[name]
  return { ...fewer, decodeBatch: 8, decodeTokens: 4, repetitions: 1 }
}

export async function loadWorkload(name: ConfigName, kind: DeviceKind, effort: Effort): Promise<Workload> {
  const directory = directories[name]
  return {
    name,
    config: await loadConfig(directory),
    processor: await loadProcessorConfig(directory),
    sizes: sizesFor(name, kind, effort),
  }
}

/** Just enough room for the sizes, so that the memory measured is that of the work. */
export function capacitiesFor({ sizes }: Workload): Capacities {
  const rollouts = Math.ceil(sizes.questions * sizes.samples * 1.25)
  const rows = Math.min(4096, Math.max(sizes.sequences * sizes.sequenceTokens, rollouts * 92))
  const sequences = Math.max(rollouts, sizes.decodeBatch)
  const images = Math.max(rollouts, sizes.sequences, sizes.decodeBatch) * IMAGE_TOKENS
  return {
    train: { tokens: rows, imageTokens: Math.min(1024, images), selections: rows, spans: rows * 16 },
    sample: {
      stepTokens: 1024,
      sequences,
      stepSpans: 65536,
      kvRows: 16 * Math.ceil((sequences * 128) / 16),
      featureRows: images,
      encodeTokens: Math.min(512, images),
    },
  }
}

export function openModel(workload: Workload, executor: Executor): Model {
  const { config, processor } = workload
  const model = createModel({ config, processor, executor, capacities: capacitiesFor(workload) })
  model.initialise(1)
  return model
}

export interface Prompt {
  readonly tokens: Int32Array
  readonly images: readonly ImageRef[]
}

export function noiseImage(seed: number): RawImage {
  const data = new Uint8Array(IMAGE_SIDE * IMAGE_SIDE * 3)
  for (let i = 0; i < data.length; i++) data[i] = (Math.imul(i + seed * 7919, 2654435761) >>> 11) & 255
  return { width: IMAGE_SIDE, height: IMAGE_SIDE, data }
}

/** A pseudo-random text token; ids from 480 on are special. */
function textToken(seed: number, index: number): number {
  return (Math.imul(index * 31 + seed * 7 + 1, 2654435761) >>> 9) % 480
}

/** 20 tokens common to all questions, some of its own, an image, two markers around it. */
export function createPrompt(config: ModelConfig, seed: number, promptTokens = PROMPT_TOKENS): Prompt {
  const text = Array.from({ length: promptTokens - IMAGE_TOKENS - 2 }, (_, i) => (i < 20 ? i : textToken(seed, i)))
  const pads = new Array<number>(IMAGE_TOKENS).fill(config.imageTokenId)
  const image = noiseImage(seed)
  return {
    tokens: Int32Array.from([...text, config.visionStartTokenId, ...pads, config.visionEndTokenId]),
    images: [{ sha256: createHash('sha256').update(image.data).digest('hex'), image }],
  }
}

/** The same amount of work, but nothing that could be shared with another prompt: another first token and another name for the image. */
export function unshared(prompt: Prompt, serial: number): Prompt {
  const tokens = prompt.tokens.slice()
  tokens[0] = serial % 480
  return { tokens, images: prompt.images.map(({ sha256, image }) => ({ sha256: `${sha256} ${serial}`, image })) }
}

/** Sequences of one length with nothing in common, as a batch of supervised training is. */
export function createSequences({ config, sizes }: Workload, seed: number): TrainSequence[] {
  return Array.from({ length: sizes.sequences }, (_, i) => {
    const prompt = unshared(createPrompt(config, seed * sizes.sequences + i), i)
    const rest = Array.from({ length: sizes.sequenceTokens - PROMPT_TOKENS }, (_, t) => textToken(seed + i, 100 + t))
    return { tokens: Int32Array.from([...prompt.tokens, ...rest]), images: prompt.images }
  })
}

/** The same without images. */
export function createTextSequences({ sizes }: Workload, seed: number): TrainSequence[] {
  return Array.from({ length: sizes.sequences }, (_, i) => ({
    tokens: Int32Array.from({ length: sizes.sequenceTokens }, (_, t) => (t === 0 ? i : textToken(seed + i, t))),
    images: [],
  }))
}
