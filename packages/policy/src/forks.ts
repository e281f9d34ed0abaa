/**
 * Where the rollouts of one question may be forked, and how uncertain the policy was there. One function a setting of `forkAt`. Not here: how many of
 * them are resampled (selection.ts).
 */
import type { Recipe } from './recipe.ts'
import { firstAct, prefixTokenCount, promptTokenCount, type Rollout, type RolloutSegment } from './rollout.ts'

export interface Key {
  readonly seed: number
  readonly step: number
}

export interface Fork {
  /** Index into the batch's rollouts. */
  readonly source: number
  readonly question: number
  /** Leading tokens of the source to keep. */
  readonly prefixTokens: number
  /** Higher = resampled earlier. */
  readonly uncertainty: number
}

/** A question qualifies when it has tool-using rollouts and every one of them is wrong (reward below the threshold). Returns their indices. */
export function triggeredSources(rollouts: readonly Rollout[], group: readonly number[], threshold = 1): number[] {
  const tool = group.filter((i) => firstAct(rollouts[i]!) !== undefined)
  return tool.every((i) => rollouts[i]!.reward < threshold) ? tool : []
}

/** One uniform number in [0, 1) from a key, the same whatever else is ranked (splitmix64's mixer). */
function keyedUniform(...key: number[]): number {
  const mask = 0xffffffffffffffffn
  let z = 0x9e3779b97f4a7c15n
  for (const k of key) {
    z = (z + BigInt(k >>> 0) + 0x9e3779b97f4a7c15n) & mask
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask
    z ^= z >> 31n
  }
  return Number(z >> 11n) / 2 ** 53
}

interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Uncertainty over the sampled tokens of a span: minus their mean probability (the paper's proxy), their mean entropy in nats, or a keyed random number, the
 * same for the rollout whatever the span.
 */
function spanUncertainty(rollout: Rollout, { start, end }: Span, ranking: Recipe['ranking'], key: Key): number {
  if (ranking === 'random') return keyedUniform(key.seed, key.step, rollout.question, rollout.sample)
  let sum = 0
  for (let i = start; i < end; i++)
    sum += ranking === 'entropy' ? rollout.entropies[i]! : -Math.exp(rollout.logprobs[i]!)
  return sum / (end - start)
}

/** Uncertainty of a rollout's first tool call: the whole serialised call, both tags. */
export function uncertainty(rollout: Rollout, ranking: Recipe['ranking'], key: Key): number {
  const act = firstAct(rollout)
  if (!act || act.end === act.start)
    throw new Error(`uncertainty: ${rollout.id} has no tool call. Rank tool-using rollouts only.`)
  return spanUncertainty(rollout, act, ranking, key)
}

/** A batch, one question's rollouts in it, and the settings: what every kind of fork is found from. */
interface Question {
  readonly rollouts: readonly Rollout[]
  readonly group: readonly number[]
  readonly recipe: Required<Recipe>
  readonly key: Key
}

function fork(q: Question, source: number, prefixTokens: number, span: Span): Fork {
  const rollout = q.rollouts[source]!
  const uncertain = spanUncertainty(rollout, span, q.recipe.ranking, q.key)
  return { source, question: rollout.question, prefixTokens, uncertainty: uncertain }
}

const triggered = (q: Question): number[] => triggeredSources(q.rollouts, q.group, q.recipe.rewardThreshold)

function callForks(q: Question): Fork[] {
  return triggered(q).map((source) => {
    const rollout = q.rollouts[source]!
    return fork(q, source, prefixTokenCount(rollout), firstAct(rollout)!)
  })
}

/** One fork a source, at its most uncertain call: two would train the tokens between them twice. */
function anyCallForks(q: Question): Fork[] {
  return triggered(q).map((source) =>
    q.rollouts[source]!.segments.filter((s) => s.kind === 'act')
      .map((act) => fork(q, source, prefixTokenCount(q.rollouts[source]!, act), act))
      .reduce((best, f) => (f.uncertainty > best.uncertainty ? f : best)),
  )
}

function promptForks(q: Question): Fork[] {
  return triggered(q).map((source) =>
    fork(q, source, promptTokenCount(q.rollouts[source]!), firstAct(q.rollouts[source]!)!),
  )
}

/** No-tool rollouts fork before their answer; one that was cut before any answer has no such place. */
function callOrAnswerForks(q: Question): Fork[] {
  const noTool = q.group.filter((i) => firstAct(q.rollouts[i]!) === undefined)
  const wrong = noTool.every((i) => q.rollouts[i]!.reward < q.recipe.rewardThreshold) ? noTool : []
  return [
    ...callForks(q),
    ...wrong.flatMap((source) => {
      const answer = q.rollouts[source]!.segments.find((s) => s.kind === 'answer' && s.end > s.start)
      return answer ? [fork(q, source, answer.start, answer)] : []
    }),
  ]
}

/** ARPO's published constants (arXiv 2507.19849): tokens looked at, weight of the rise of entropy, and the level that a draw must stay under. */
const arpo = { tokens: 20, entropyWeight: 0.2, level: 0.5 }

/** The first sampled tokens from `start` on, at most ARPO's 20 and none after the next observation. */
function firstSampled(rollout: Rollout, start: number): Span {
  let end = start
  while (end < start + arpo.tokens && rollout.trainable[end] === 1) end++
  return { start, end }
}

function branches(q: Question, source: number, observation: RolloutSegment, index: number): Fork[] {
  const rollout = q.rollouts[source]!
  const { seed, step } = q.key
  const after = firstSampled(rollout, observation.end)
  if (after.end === after.start) return []
  const entropy = (span: Span) => spanUncertainty(rollout, span, 'entropy', q.key)
  const rise = entropy(after) - entropy(firstSampled(rollout, promptTokenCount(rollout)))
  const draw = keyedUniform(seed, step, rollout.question, rollout.sample, index)
  return draw - arpo.entropyWeight * rise <= arpo.level ? [fork(q, source, observation.end, after)] : []
}

function observationForks(q: Question): Fork[] {
  return q.group.flatMap((source) =>
    q.rollouts[source]!.segments.filter((s) => s.kind === 'observe').flatMap((s, i) => branches(q, source, s, i)),
  )
}

const kinds: Readonly<Record<NonNullable<Recipe['forkAt']>, (q: Question) => Fork[]>> = {
  call: callForks,
  'any-call': anyCallForks,
  'call-or-answer': callOrAnswerForks,
  prompt: promptForks,
  observation: observationForks,
}

/** All forks that one question's rollouts offer, in the order of the rollouts. */
export function forksOf(
  rollouts: readonly Rollout[],
  group: readonly number[],
  recipe: Required<Recipe>,
  key: Key,
): Fork[] {
  return kinds[recipe.forkAt]({ rollouts, group, recipe, key })
}
