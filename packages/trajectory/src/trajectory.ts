/**
 * The record of a rollout: flat token arrays, segments over them, images by hash, and where a resampled rollout forked.
 * Not here: bytes (format.ts, writer.ts, reader.ts), rewards' meaning, advantages.
 *
 * Legend. Token offsets count tokens from the start of the context; ranges are [start, end). Log-probabilities and entropies in nats.
 */

export type SegmentKind = 'prompt' | 'think' | 'act' | 'observe' | 'answer' | 'failure'

export type ToolStatus = 'ok' | 'invalid-json' | 'unknown-tool' | 'bad-arguments' | 'timeout' | 'failed'

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

export type Finish = 'answer' | 'length' | 'turns' | 'invalid-calls'

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
  /** The first `forkToken` tokens are the parent's. */
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

const sampledKinds: ReadonlySet<SegmentKind> = new Set(['think', 'act', 'answer', 'failure'])

function fail(t: Trajectory, rule: string, got: string): never {
  throw new Error(`trajectory ${t.id}: ${rule}, got ${got}. The rollout that made it is broken; do not train on it.`)
}

function checkSegments(t: Trajectory): void {
  let at = 0
  for (const s of t.segments) {
    if (s.start !== at || s.end < s.start)
      fail(t, `segments must cover the tokens in order from ${at}`, `${s.kind} [${s.start}, ${s.end})`)
    const sampled = sampledKinds.has(s.kind)
    if (sampled !== s.weightVersion >= 0 && s.end > s.start)
      fail(t, `a ${s.kind} segment must ${sampled ? '' : 'not '}carry a weight version`, String(s.weightVersion))
    for (let i = s.start; i < s.end; i++) {
      if ((t.trainable[i] === 1) !== sampled)
        fail(t, `token ${i} of a ${s.kind} segment must ${sampled ? '' : 'not '}be trainable`, String(t.trainable[i]))
    }
    at = s.end
  }
  if (at !== t.tokens.length) fail(t, `segments must end at token ${t.tokens.length}`, String(at))
}

function checkImages(t: Trajectory): void {
  let at = 0
  for (const image of t.images) {
    if (!/^[0-9a-f]{64}$/.test(image.sha256)) fail(t, 'image sha256 must be 64 hex digits', image.sha256)
    const end = image.tokenStart + image.tokenCount
    if (image.tokenStart < at || image.tokenCount < 1 || end > t.tokens.length)
      fail(t, 'image runs must lie in order inside the tokens', `[${image.tokenStart}, ${end})`)
    for (let i = image.tokenStart + 1; i < end; i++) {
      if (t.tokens[i] !== t.tokens[image.tokenStart])
        fail(t, 'an image run must repeat one pad token', `${t.tokens[i]} at ${i}`)
    }
    at = end
  }
}

/** Throws on a broken invariant, naming the trajectory, the rule and the value. */
export function checkTrajectory(t: Trajectory): void {
  const n = t.tokens.length
  for (const [name, array] of [
    ['logprobs', t.logprobs],
    ['entropies', t.entropies],
    ['trainable', t.trainable],
  ] as const)
    if (array.length !== n) fail(t, `${name} must have ${n} entries`, String(array.length))
  checkSegments(t)
  checkImages(t)
  for (let i = 0; i < n; i++) {
    const finite = Number.isFinite(t.logprobs[i]) && Number.isFinite(t.entropies[i])
    if (!finite || t.logprobs[i]! > 0)
      fail(
        t,
        `token ${i} needs a finite log-probability <= 0 and a finite entropy`,
        `${t.logprobs[i]}, ${t.entropies[i]}`,
      )
    if (t.trainable[i] === 0 && (t.logprobs[i] !== 0 || t.entropies[i] !== 0))
      fail(t, `token ${i} was not sampled and must carry zeros`, `${t.logprobs[i]}`)
  }
  if (t.parent && (t.parent.forkToken < 1 || t.parent.forkToken > n))
    fail(t, `forkToken must lie in 1..${n}`, String(t.parent.forkToken))
  if (!Number.isFinite(t.reward)) fail(t, 'reward must be finite', String(t.reward))
}

/** Tokens of the prompt, up to the first sampled one. */
export function promptTokenCount(t: Pick<Trajectory, 'segments'>): number {
  return t.segments[0]?.kind === 'prompt' ? t.segments[0].end : 0
}

/** Whether the rollout opened at least one tool call. */
export function usesTool(t: Pick<Trajectory, 'segments'>): boolean {
  return t.segments.some((s) => s.kind === 'act')
}
