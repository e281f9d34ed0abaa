/** What the policy layer needs of a rollout, and the group structure of a batch. @axpo/trajectory's Trajectory fits `Rollout` structurally. */

export interface RolloutSegment {
  readonly kind: 'prompt' | 'think' | 'act' | 'observe' | 'answer' | 'failure'
  /** Token offsets [start, end). */
  readonly start: number
  readonly end: number
  readonly call?: { readonly name: string | null; readonly argumentsJson: string; readonly status: string }
}

export interface Rollout {
  readonly id: string
  /** Index of the question in the step's batch. */
  readonly question: number
  readonly sample: number
  readonly parent: { readonly id: string; readonly forkToken: number } | null
  readonly tokens: { readonly length: number }
  /** Natural log of the sampling probability, 0 where not sampled. */
  readonly logprobs: Float32Array
  /** Nats, 0 where not sampled. */
  readonly entropies: Float32Array
  /** 1 where the model sampled the token. */
  readonly trainable: Uint8Array
  readonly segments: readonly RolloutSegment[]
  readonly reward: number
}

/** The first tool call of a rollout, or undefined when it used no tool. */
export function firstAct(rollout: Pick<Rollout, 'segments'>): RolloutSegment | undefined {
  return rollout.segments.find((s) => s.kind === 'act')
}

/** Tokens up to and including the opening tag of a tool call. Of the first, the default, these are AXPO's t1 together with the prompt. */
export function prefixTokenCount(rollout: Pick<Rollout, 'segments' | 'id'>, act = firstAct(rollout)): number {
  if (!act)
    throw new Error(`prefixTokenCount: ${rollout.id} opened no tool call. Only tool-using rollouts have a prefix.`)
  return act.start + 1
}

/** Rollout indices by question, questions in ascending order. */
export function groupByQuestion(rollouts: readonly Pick<Rollout, 'question'>[]): Map<number, number[]> {
  const groups = new Map<number, number[]>()
  for (const [i, r] of rollouts.entries()) {
    const group = groups.get(r.question)
    if (group) group.push(i)
    else groups.set(r.question, [i])
  }
  return new Map([...groups].sort(([a], [b]) => a - b))
}

/** Index of the first sampled token: the prompt's length. */
export function promptTokenCount(rollout: Pick<Rollout, 'trainable' | 'id'>): number {
  const at = rollout.trainable.indexOf(1)
  if (at < 0) throw new Error(`promptTokenCount: ${rollout.id} has no sampled token. A rollout must answer or act.`)
  return at
}
