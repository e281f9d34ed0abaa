/** What the agent needs from outside: a sampler and a codec. @axpo/model fits both structurally; the apps prove it with `satisfies`. */
import type { RawImage, ToolSpec } from './tool.ts'

export interface ImageRef {
  /** Lower-case hex over "{width},{height}," and the pixels. */
  readonly sha256: string
  readonly image: RawImage
}

export interface SampleKey {
  readonly seed: number
  readonly step: number
  readonly question: number
  readonly sample: number
}

export interface SampleRequest {
  /** The whole context so far, image pads expanded; only ever appended to. */
  readonly tokens: Int32Array
  /** In order of their pad runs. */
  readonly images: readonly ImageRef[]
  readonly maxTokens: number
  /** Generation ends after one of these is sampled; it is part of the result. */
  readonly stopTokens: readonly number[]
  readonly temperature: number
  /** The token at context index p depends on (key, p) and the logits only. */
  readonly key: SampleKey
}

export interface SampleResult {
  readonly tokens: Int32Array
  /** Natural log. */
  readonly logprobs: Float32Array
  /** Nats. */
  readonly entropies: Float32Array
  readonly finish: 'stop' | 'length'
  readonly weightVersion: number
}

export interface Sampler {
  /** Calls made together are batched. */
  sample(request: SampleRequest): Promise<SampleResult>
}

export type ChatContent =
  | string
  | readonly ({ readonly type: 'text'; readonly text: string } | { readonly type: 'image' })[]

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: ChatContent
}

export interface ChatCodec {
  encode(text: string): number[]
  /** Special tokens are kept. */
  decode(tokens: ArrayLike<number>): string
  /** Throws when `token` is not a single token. */
  tokenId(token: string): number
  /** Chat template with the generation prompt. */
  renderPrompt(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): string
  /** Merged tokens of the image in the model's context. */
  imageTokenCount(image: RawImage): number
}
