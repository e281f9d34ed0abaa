/**
 * A demonstration as token ids and loss weights, exactly as the agent would have written it: prompt by the chat template, sampled turns, observations as the
 * environment appends them. Not here: choosing demonstrations (@axpo/tasks), the training loop (sft.ts).
 */
import { encodeEnvironment, observationTurn } from '@axpo/agent'
import type { ChatCodec, ImageRef, RawImage } from '@axpo/model'
import type { Demonstration, Question } from '@axpo/tasks'

/** What a tool answered: text, or an image. */
export interface Observation {
  readonly text: string
  readonly image: RawImage | null
}

export interface DemonstrationTokens {
  readonly tokens: Int32Array
  readonly images: readonly ImageRef[]
  /** 1 where the model is to learn the token. */
  readonly selected: Uint8Array
}

/** What is played: a question of the suite or of a user's file. */
export type Played = Pick<Question, 'messages' | 'images' | 'tools' | 'documents'>

export interface TokenContext {
  readonly codec: ChatCodec
  readonly imageRef: (image: RawImage) => ImageRef
  readonly answerCall: (question: Played, call: NonNullable<Demonstration['call']>) => Promise<Observation>
}

/** Python's json.dumps separators, as Qwen writes calls. */
export function formatJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatJson).join(', ')}]`
  if (value !== null && typeof value === 'object')
    return `{${Object.entries(value)
      .map(([k, v]) => `${JSON.stringify(k)}: ${formatJson(v)}`)
      .join(', ')}}`
  return JSON.stringify(value)
}

export function formatCall(call: { readonly name: string; readonly arguments: unknown }): string {
  return `<tool_call>\n{"name": ${JSON.stringify(call.name)}, "arguments": ${formatJson(call.arguments)}}\n</tool_call>`
}

const toolSpecs = (question: Played) =>
  question.tools.map((name) => ({ type: 'function' as const, function: { name, description: '', parameters: {} } }))

/** Collects the pieces of a context. */
class TokenBuilder {
  readonly ids: number[] = []
  readonly learnt: number[] = []
  readonly images: ImageRef[] = []
  private readonly context: TokenContext
  constructor(context: TokenContext) {
    this.context = context
  }
  append(text: string, learn: 0 | 1, images: readonly RawImage[] = []): void {
    for (const id of encodeEnvironment(this.context.codec, text, images).ids) {
      this.ids.push(id)
      this.learnt.push(learn)
    }
    for (const image of images) this.images.push(this.context.imageRef(image))
  }
}

export function promptTokens(
  question: Played,
  context: TokenContext,
): { tokens: Int32Array; images: readonly ImageRef[] } {
  const builder = new TokenBuilder(context)
  builder.append(context.codec.renderPrompt([...question.messages], toolSpecs(question)), 0, question.images)
  return { tokens: Int32Array.from(builder.ids), images: builder.images }
}

export async function demonstrationTokens(
  question: Played,
  demonstration: Demonstration,
  context: TokenContext,
): Promise<DemonstrationTokens> {
  const builder = new TokenBuilder(context)
  builder.append(context.codec.renderPrompt([...question.messages], toolSpecs(question)), 0, question.images)
  const { call, thinking, thinkingAfter, answer } = demonstration
  let open = thinking
  if (call) {
    builder.append(`${thinking}\n</think>\n\n${formatCall(call)}`, 1)
    const answered = await context.answerCall(question, call)
    builder.append(observationTurn(answered), 0, answered.image ? [answered.image] : [])
    open = thinkingAfter
  }
  builder.append(`${open}\n</think>\n\n${answer}<|im_end|>`, 1)
  return { tokens: Int32Array.from(builder.ids), images: builder.images, selected: Uint8Array.from(builder.learnt) }
}

/** A demonstration up to the end of its call: what the tool answers is not part of it. */
export function callTokens(
  question: Question,
  demonstration: Demonstration,
  context: TokenContext,
): DemonstrationTokens {
  const { call, thinking } = demonstration
  if (!call)
    throw new Error(`demonstration: ${question.id} must have a call, got none. Demonstrate 'right' or 'wrong'.`)
  const builder = new TokenBuilder(context)
  builder.append(context.codec.renderPrompt([...question.messages], toolSpecs(question)), 0, question.images)
  builder.append(`${thinking}\n</think>\n\n${formatCall(call)}`, 1)
  return { tokens: Int32Array.from(builder.ids), images: builder.images, selected: Uint8Array.from(builder.learnt) }
}
