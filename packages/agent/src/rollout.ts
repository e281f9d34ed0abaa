/**
 * One episode: think, act, observe, until an answer. Token-exact: the context is only ever appended to, sampled ids are kept with their log-probabilities, observations are encoded
 * once. Resampling is this same function with a prefix. Not here: which prefixes to resample (@axpo/policy), batching (the sampler).
 */

import { createHash } from 'node:crypto'
import type { Segment, ToolCall, Trajectory } from '@axpo/trajectory'
import { type EnvironmentTokens, encodeEnvironment, observationTurn } from './environment-text.ts'
import { type HermesTokens, parseTurn } from './hermes.ts'
import type { ChatCodec, ChatMessage, ImageRef, SampleResult, Sampler } from './ports.ts'
import type { ToolRegistry } from './registry.ts'
import type { GalleryEntry, RawImage, SearchDocument, ToolContext } from './tool.ts'

export interface Task {
  readonly questionId: string
  readonly family: string
  readonly split: string
  readonly messages: readonly ChatMessage[]
  readonly images: readonly RawImage[]
  readonly tools: readonly string[]
  readonly documents: readonly SearchDocument[]
  /** What image_search looks through. */
  readonly gallery?: readonly GalleryEntry[]
  grade(answer: string | null): number
}

export interface Limits {
  /** Tool turns an episode may take. */
  readonly turns: number
  /** Sampled tokens a turn; of a turn that a continuation goes on with, those after the fork. */
  readonly turnTokens: number
  /** Tokens of the whole context. */
  readonly contextTokens: number
  /** Calls in a row that may fail to parse or validate; a continuation counts its own. */
  readonly invalidCalls: number
}

export const defaultLimits: Limits = { turns: 3, turnTokens: 48, contextTokens: 512, invalidCalls: 3 }

export interface RolloutJob {
  readonly task: Task
  readonly seed: number
  readonly step: number
  /** Index of the question in the batch. */
  readonly question: number
  /** Index in the group; 1000 and up for continuations. */
  readonly sample: number
  /** Continue this trajectory from its first `tokenCount` tokens. */
  readonly prefix?: { readonly parent: Trajectory; readonly tokenCount: number }
}

export interface RolloutSetting {
  readonly sampler: Sampler
  readonly codec: ChatCodec
  readonly tools: ToolRegistry
  readonly temperature: number
  readonly limits: Limits
  /** Originals by hash: images of parents are found here, new ones are added. */
  readonly images: Map<string, RawImage>
}

const refs = new WeakMap<RawImage, ImageRef>()

/** An image is hashed once: its pixels must not change. */
export function imageRef(image: RawImage): ImageRef {
  let ref = refs.get(image)
  if (!ref) {
    const sha256 = createHash('sha256').update(`${image.width},${image.height},`).update(image.data).digest('hex')
    ref = { sha256, image }
    refs.set(image, ref)
  }
  return ref
}

interface EncodedPrompt extends EnvironmentTokens {
  readonly codec: ChatCodec
  readonly tools: ToolRegistry
}

const prompts = new WeakMap<Task, EncodedPrompt>()

/** A question's rollouts share its prompt: it is rendered and encoded once. */
function encodePrompt({ codec, tools }: RolloutSetting, task: Task): EncodedPrompt {
  let prompt = prompts.get(task)
  if (prompt?.codec !== codec || prompt.tools !== tools) {
    const text = codec.renderPrompt(task.messages, tools.specs(task.tools))
    prompt = { ...encodeEnvironment(codec, text, task.images), codec, tools }
    prompts.set(task, prompt)
  }
  return prompt
}

/** Token ids of the grammar, read from the tokenizer. */
export function hermesTokens(codec: ChatCodec): HermesTokens {
  return {
    thinkEnd: codec.tokenId('</think>'),
    callStart: codec.tokenId('<tool_call>'),
    callEnd: codec.tokenId('</tool_call>'),
    turnEnd: codec.tokenId('<|im_end|>'),
  }
}

/** The growing context of one episode. */
class Context {
  readonly tokens: number[] = []
  readonly logprobs: number[] = []
  readonly entropies: number[] = []
  readonly trainable: number[] = []
  readonly segments: Segment[] = []
  readonly spans: { sha256: string; tokenStart: number; tokenCount: number }[] = []
  readonly images: ImageRef[] = []
  private readonly setting: RolloutSetting

  constructor(setting: RolloutSetting) {
    this.setting = setting
  }

  segment(kind: Segment['kind'], start: number, weightVersion: number, call?: ToolCall): void {
    if (this.tokens.length > start)
      this.segments.push({ kind, start, end: this.tokens.length, weightVersion, ...(call ? { call } : {}) })
  }

  push(id: number, logprob: number, entropy: number, trainable: 0 | 1): void {
    this.tokens.push(id)
    this.logprobs.push(logprob)
    this.entropies.push(entropy)
    this.trainable.push(trainable)
  }

  addImage(ref: ImageRef, tokenStart: number, tokenCount: number): void {
    this.setting.images.set(ref.sha256, ref.image)
    this.images.push(ref)
    this.spans.push({ sha256: ref.sha256, tokenStart, tokenCount })
  }

  /** What the environment says. False, and nothing appended, when the context would grow beyond `limit` tokens. */
  environment(
    { ids, pads }: EnvironmentTokens,
    kind: 'prompt' | 'observe',
    images: readonly RawImage[],
    limit = Infinity,
  ): boolean {
    const start = this.tokens.length
    if (start + ids.length > limit) return false
    for (const [i, pad] of pads.entries()) this.addImage(imageRef(images[i]!), start + pad.start, pad.count)
    for (const id of ids) this.push(id, 0, 0, 0)
    this.segment(kind, start, -1)
    return true
  }

  /** The parent's first tokens and the segments that end within them; the call that the fork opens is the continuation's own. */
  inherit(parent: Trajectory, tokenCount: number): void {
    for (let i = 0; i < tokenCount; i++)
      this.push(parent.tokens[i]!, parent.logprobs[i]!, parent.entropies[i]!, parent.trainable[i] === 1 ? 1 : 0)
    for (const s of parent.segments) if (s.end <= tokenCount) this.segments.push(s)
    for (const { sha256, tokenStart, tokenCount: count } of parent.images) {
      if (tokenStart >= tokenCount) continue
      const image = this.setting.images.get(sha256)
      if (!image)
        throw new Error(
          `rollout: image ${sha256} of parent ${parent.id} is not among the setting's images. Keep one map for a step.`,
        )
      this.addImage({ sha256, image }, tokenStart, count)
    }
  }
}

/** Where a turn that is being continued began: after the last environment text. */
function turnStartOf(context: Context): number {
  const last = context.segments.findLast((s) => s.kind === 'prompt' || s.kind === 'observe')
  return last?.end ?? 0
}

interface TurnEnd {
  readonly finish: Trajectory['finish'] | null
  readonly answer: string | null
  readonly invalid: boolean
}

class Episode {
  private readonly setting: RolloutSetting
  private readonly job: RolloutJob
  private readonly ids: HermesTokens
  readonly context: Context

  constructor(setting: RolloutSetting, job: RolloutJob) {
    this.setting = setting
    this.job = job
    this.ids = hermesTokens(setting.codec)
    this.context = new Context(setting)
    if (job.prefix) this.context.inherit(job.prefix.parent, job.prefix.tokenCount)
    else this.context.environment(encodePrompt(setting, job.task), 'prompt', job.task.images)
  }

  private async sample(): Promise<SampleResult | null> {
    const { limits, sampler, temperature } = this.setting
    const { seed, step, question, sample } = this.job
    const maxTokens = Math.min(limits.turnTokens, limits.contextTokens - this.context.tokens.length)
    if (maxTokens < 1) return null
    const tokens = Int32Array.from(this.context.tokens)
    return sampler.sample({
      tokens,
      images: [...this.context.images],
      maxTokens,
      stopTokens: [this.ids.callEnd, this.ids.turnEnd],
      temperature,
      key: { seed, step, question, sample },
    })
  }

  /** Samples one turn (the rest of one, after a fork), runs its call, appends the observation. `last`: no tool turn is left after this one. */
  async turn(last: boolean): Promise<TurnEnd> {
    const { context } = this
    const turnStart = turnStartOf(context)
    const result = await this.sample()
    if (!result) {
      this.closeInherited()
      return { finish: 'length', answer: null, invalid: false }
    }
    for (const [i, id] of result.tokens.entries()) context.push(id, result.logprobs[i]!, result.entropies[i]!, 1)
    const parsed = parseTurn(context.tokens.slice(turnStart), this.ids, (ids) => this.setting.codec.decode(ids))
    const version = result.weightVersion
    if (parsed.kind === 'failure') {
      context.segment('failure', context.segments.at(-1)?.end ?? 0, version)
      return { finish: 'length', answer: null, invalid: false }
    }
    if (parsed.kind === 'answer') {
      this.split(turnStart + parsed.answerStart, 'answer', version)
      return { finish: 'answer', answer: parsed.answer, invalid: false }
    }
    return this.act(turnStart, parsed.callStart, parsed.call, version, last)
  }

  /** A fork inside a segment and no room to go on: its inherited tokens belong to no call or answer. */
  private closeInherited(): void {
    const covered = this.context.segments.at(-1)?.end ?? 0
    const open = this.job.prefix?.parent.segments.find((s) => s.start === covered)
    if (open) this.context.segment('failure', covered, open.weightVersion)
  }

  /** Closes a turn: thinking up to `at` (after a fork it is the parent's segment already), then its call or answer. */
  private split(at: number, after: 'answer' | 'act', version: number, call?: ToolCall): void {
    const { context } = this
    const covered = context.segments.at(-1)?.end ?? 0
    if (at > covered) context.segments.push({ kind: 'think', start: covered, end: at, weightVersion: version })
    context.segment(after, at, version, call)
  }

  private async act(
    turnStart: number,
    callStart: number,
    parsed: Parameters<ToolRegistry['call']>[0],
    version: number,
    last: boolean,
  ): Promise<TurnEnd> {
    const { context, job, setting } = this
    const images = context.images.map((i) => i.image)
    const { documents, gallery, tools } = job.task
    const seen: ToolContext = gallery ? { images, documents, gallery } : { images, documents }
    const outcome = await setting.tools.call(parsed, tools, seen)
    const call: ToolCall = {
      name: parsed.ok ? parsed.name : null,
      argumentsJson: parsed.ok ? parsed.argumentsJson : parsed.text,
      status: outcome.status,
      observation: outcome.text,
      imageSha256: outcome.image ? imageRef(outcome.image).sha256 : null,
    }
    this.split(turnStart + callStart, 'act', version, call)
    const invalid =
      outcome.status === 'invalid-json' || outcome.status === 'unknown-tool' || outcome.status === 'bad-arguments'
    if (last) return { finish: 'turns', answer: null, invalid }
    const { contextTokens } = setting.limits
    const shown = outcome.image ? [outcome.image] : []
    // an observation that does not fit is not appended: a trajectory stays within what the learner takes
    const observation = encodeEnvironment(setting.codec, observationTurn(outcome), shown)
    const fits = context.environment(observation, 'observe', shown, contextTokens)
    return { finish: fits ? null : 'length', answer: null, invalid }
  }
}

/** Plays one episode to its end. Bad calls and failing tools are observations; only broken invariants throw. */
export async function rollout(setting: RolloutSetting, job: RolloutJob): Promise<Trajectory> {
  const { limits } = setting
  const episode = new Episode(setting, job)
  const { context } = episode
  let invalidCalls = 0
  let end: TurnEnd = { finish: null, answer: null, invalid: false }
  let used = context.segments.filter((s) => s.kind === 'act').length
  while (end.finish === null) {
    // the turn after the last tool turn may still answer; a call in it ends the episode
    end = await episode.turn(used >= limits.turns)
    used++
    invalidCalls = end.invalid ? invalidCalls + 1 : 0
    if (end.finish === null && invalidCalls >= limits.invalidCalls) end = { ...end, finish: 'invalid-calls' }
  }
  const { task, prefix } = job
  return {
    id: `${job.seed}-${job.step}-${task.questionId}-${job.sample}`,
    questionId: task.questionId,
    family: task.family,
    split: task.split,
    step: job.step,
    question: job.question,
    sample: job.sample,
    parent: prefix ? { id: prefix.parent.id, forkToken: prefix.tokenCount } : null,
    tokens: Int32Array.from(context.tokens),
    logprobs: Float32Array.from(context.logprobs),
    entropies: Float32Array.from(context.entropies),
    trainable: Uint8Array.from(context.trainable),
    segments: context.segments,
    images: context.spans,
    answer: end.answer,
    reward: task.grade(end.answer),
    finish: end.finish ?? 'length',
  }
}

/** All jobs at once: the sampler batches them, results do not depend on the order in which they finish. */
export function rolloutMany(setting: RolloutSetting, jobs: readonly RolloutJob[]): Promise<Trajectory[]> {
  return Promise.all(jobs.map((job) => rollout(setting, job)))
}
