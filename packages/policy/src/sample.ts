/** Synthetic rollouts for tests: prompt 3 tokens, think 2, optional call 3 + observation 2, answer 2. Log-probabilities are set a token at a time. */
import type { Rollout, RolloutSegment } from './rollout.ts'

export interface SyntheticRollout {
  readonly question: number
  readonly sample: number
  readonly tool: boolean
  readonly reward: number
  /** Probability of every sampled token. */
  readonly probability?: number
  readonly callArguments?: string
  readonly parent?: Rollout
}

export function syntheticRollout(s: SyntheticRollout): Rollout {
  const call = { name: 'python', argumentsJson: s.callArguments ?? '{}', status: 'ok' }
  const segments: RolloutSegment[] = s.tool
    ? [
        { kind: 'prompt', start: 0, end: 3 },
        { kind: 'think', start: 3, end: 5 },
        { kind: 'act', start: 5, end: 8, call },
        { kind: 'observe', start: 8, end: 10 },
        { kind: 'answer', start: 10, end: 12 },
      ]
    : [
        { kind: 'prompt', start: 0, end: 3 },
        { kind: 'think', start: 3, end: 5 },
        { kind: 'answer', start: 5, end: 7 },
      ]
  const length = segments.at(-1)!.end
  const trainable = new Uint8Array(length)
  for (const segment of segments)
    if (segment.kind !== 'prompt' && segment.kind !== 'observe') trainable.fill(1, segment.start, segment.end)
  return {
    id: `${s.question}-${s.sample}`,
    question: s.question,
    sample: s.sample,
    parent: s.parent ? { id: s.parent.id, forkToken: 6 } : null,
    tokens: { length },
    logprobs: Float32Array.from(trainable, (t) => (t ? Math.log(s.probability ?? 0.5) : 0)),
    entropies: Float32Array.from(trainable, (t) => (t ? 0.7 : 0)),
    trainable,
    segments,
    reward: s.reward,
  }
}
