/**
 * Synthetic rollouts for tests: prompt 3 tokens, think 2, a call 3 and its observation 2 for each call (think 1 between two), answer 2. Probabilities are
 * set a token at a time.
 */
import type { Rollout, RolloutSegment } from './rollout.ts'

export interface SyntheticRollout {
  readonly question: number
  readonly sample: number
  readonly tool: boolean
  readonly reward: number
  /** Calls of a tool-using rollout. Default 1. */
  readonly calls?: number
  /** Probability of every sampled token (entropy 0.7), or of each token by index (entropy 1 minus it). */
  readonly probability?: number | ((token: number) => number)
  readonly callArguments?: string
  readonly parent?: Rollout
}

class Segments {
  readonly list: RolloutSegment[]
  constructor(list: readonly RolloutSegment[] = []) {
    this.list = [...list]
  }
  get end(): number {
    return this.list.at(-1)?.end ?? 0
  }
  add(kind: RolloutSegment['kind'], length: number, callArguments?: string): void {
    const call =
      callArguments === undefined ? {} : { call: { name: 'python', argumentsJson: callArguments, status: 'ok' } }
    this.list.push({ kind, start: this.end, end: this.end + length, ...call })
  }
}

const unsampled: ReadonlySet<string> = new Set(['prompt', 'observe'])

function finish(s: Omit<SyntheticRollout, 'tool'>, { list }: Segments, forkToken: number): Rollout {
  const length = list.at(-1)!.end
  const trainable = new Uint8Array(length)
  for (const segment of list) if (!unsampled.has(segment.kind)) trainable.fill(1, segment.start, segment.end)
  const probability = (t: number) => (typeof s.probability === 'function' ? s.probability(t) : (s.probability ?? 0.5))
  return {
    id: `${s.question}-${s.sample}`,
    question: s.question,
    sample: s.sample,
    parent: s.parent ? { id: s.parent.id, forkToken } : null,
    tokens: { length },
    logprobs: Float32Array.from(trainable, (sampled, t) =>
      t < forkToken && s.parent ? s.parent.logprobs[t]! : sampled ? Math.log(probability(t)) : 0,
    ),
    entropies: Float32Array.from(trainable, (sampled, t) =>
      sampled ? (typeof s.probability === 'function' ? 1 - probability(t) : 0.7) : 0,
    ),
    trainable,
    segments: list,
    reward: s.reward,
  }
}

/** With a parent: forked after the opening tag of the parent's first call. */
export function syntheticRollout(s: SyntheticRollout): Rollout {
  const segments = new Segments()
  segments.add('prompt', 3)
  segments.add('think', 2)
  for (let call = 0; s.tool && call < (s.calls ?? 1); call++) {
    if (call > 0) segments.add('think', 1)
    segments.add('act', 3, s.callArguments ?? '{}')
    segments.add('observe', 2)
  }
  segments.add('answer', 2)
  return finish(s, segments, s.parent ? 6 : 0)
}

/** A continuation of `parent` from its first `tokenCount` tokens: the call that the fork cut, if it cut one, its observation, an answer. */
export function syntheticContinuation(
  s: Omit<SyntheticRollout, 'tool' | 'calls' | 'question'> & { readonly parent: Rollout; readonly tokenCount: number },
): Rollout {
  const segments = new Segments(s.parent.segments.filter((segment) => segment.end <= s.tokenCount))
  if (segments.end < s.tokenCount) {
    segments.add('act', 3, s.callArguments ?? '{}')
    segments.add('observe', 2)
  }
  segments.add('answer', 2)
  return finish({ ...s, question: s.parent.question }, segments, s.tokenCount)
}
