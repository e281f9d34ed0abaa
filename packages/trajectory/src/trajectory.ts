/**
 * The record of a rollout: flat token arrays, segments over them, images by hash, and where a resampled rollout forked.
 * Not here: what makes a record a good one (check.ts), bytes (format.ts, writer.ts, reader.ts), rewards' meaning, advantages.
 *
 * Legend. Token offsets count tokens from the start of the context; ranges are [start, end). Log-probabilities and entropies in nats.
 */

export const segmentKinds = ['prompt', 'think', 'act', 'observe', 'answer', 'failure'] as const
export type SegmentKind = (typeof segmentKinds)[number]

export const toolStatuses = ['ok', 'invalid-json', 'unknown-tool', 'bad-arguments', 'timeout', 'failed'] as const
export type ToolStatus = (typeof toolStatuses)[number]

/** One tool call and what the environment answered. */
export interface ToolCall {
  readonly name: string | null
  /** Canonical JSON of the arguments (sorted keys), or the raw text when it did not parse. */
  readonly argumentsJson: string
  readonly status: ToolStatus
  /** Text part of the observation. */
  readonly observation: string
  readonly imageSha256: string | null
}

export interface Segment {
  readonly kind: SegmentKind
  readonly start: number
  readonly end: number
  /** Version of the weights that sampled these tokens; -1 where nothing was sampled. */
  readonly weightVersion: number
  /** Set on `act` segments. */
  readonly call?: ToolCall
}

/** An image's run of pad tokens in the context. */
export interface ImageSpan {
  readonly sha256: string
  readonly tokenStart: number
  readonly tokenCount: number
}

/** SPEC.md says what each one means. */
export const finishes = ['answer', 'length', 'turns', 'invalid-calls'] as const
export type Finish = (typeof finishes)[number]

export interface Trajectory {
  /** Unique and reproducible: `${runSeed}-${step}-${questionId}-${sample}`. */
  readonly id: string
  readonly questionId: string
  readonly family: string
  readonly split: string
  readonly step: number
  readonly question: number
  /** Index of the rollout in its group; 1000 and up for resampled continuations. */
  readonly sample: number
  /** The first `forkToken` tokens are the parent's, a trajectory of the same step. */
  readonly parent: { readonly id: string; readonly forkToken: number } | null
  readonly tokens: Int32Array
  /** 0 where the token was not sampled. */
  readonly logprobs: Float32Array
  /** 0 where the token was not sampled. */
  readonly entropies: Float32Array
  /** 1 where the model sampled the token. */
  readonly trainable: Uint8Array
  readonly segments: readonly Segment[]
  readonly images: readonly ImageSpan[]
  readonly answer: string | null
  readonly reward: number
  readonly finish: Finish
}

/** 8-bit RGB, row-major, 3 bytes a pixel. */
export interface RawImage {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** Tokens of the prompt, up to the first sampled one. */
export function promptTokenCount(t: Pick<Trajectory, 'segments'>): number {
  return t.segments[0]?.kind === 'prompt' ? t.segments[0].end : 0
}

/** Whether the rollout opened at least one tool call. */
export function usesTool(t: Pick<Trajectory, 'segments'>): boolean {
  return t.segments.some((s) => s.kind === 'act')
}
