/**
 * What makes a trajectory a good one: types and ranges of every field, segments that cover the tokens, image runs inside them, zeros where nothing was
 * sampled. Written and read records go through the same rules. Not here: what only bytes can have wrong (format.ts).
 */
import { finishes, type Segment, type SegmentKind, segmentKinds, type Trajectory, toolStatuses } from './trajectory.ts'

const sampledKinds: ReadonlySet<SegmentKind> = new Set(['think', 'act', 'answer', 'failure'])

/** Any value, short enough for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
export const isSha256 = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const isText = (value: unknown): boolean => typeof value === 'string'
const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string'
const isOneOf = (list: readonly string[], value: unknown): boolean => list.some((one) => one === value)

function scalarFault(t: Trajectory): string | null {
  for (const name of ['id', 'questionId', 'family', 'split'] as const)
    if (!isText(t[name])) return `${name} must be a string, got ${show(t[name])}`
  for (const name of ['step', 'question', 'sample'] as const)
    if (!isCount(t[name])) return `${name} must be a whole number from 0, got ${show(t[name])}`
  if (!isTextOrNull(t.answer)) return `answer must be a string or null, got ${show(t.answer)}`
  if (!Number.isFinite(t.reward)) return `reward must be finite, got ${show(t.reward)}`
  if (!isOneOf(finishes, t.finish)) return `finish must be one of ${finishes.join(', ')}, got ${show(t.finish)}`
  if (t.parent === null) return null
  if (!isText(t.parent.id)) return `parent.id must be a string, got ${show(t.parent.id)}`
  const { forkToken } = t.parent
  return isCount(forkToken) && forkToken >= 1 && forkToken <= t.tokens.length
    ? null
    : `forkToken must lie in 1..${t.tokens.length}, got ${show(forkToken)}`
}

function callFault({ kind, call }: Segment): string | null {
  if (call === undefined) return null
  if (kind !== 'act') return `only an act segment may carry a call, got one on ${kind}`
  if (!isTextOrNull(call.name)) return `a call's name must be a string or null, got ${show(call.name)}`
  if (!isText(call.argumentsJson)) return `a call's arguments must be a string, got ${show(call.argumentsJson)}`
  if (!isText(call.observation)) return `a call's observation must be a string, got ${show(call.observation)}`
  if (!isOneOf(toolStatuses, call.status))
    return `a call's status must be one of ${toolStatuses.join(', ')}, got ${show(call.status)}`
  return call.imageSha256 === null || isSha256(call.imageSha256)
    ? null
    : `a call's image must be null or 64 hex digits, got ${show(call.imageSha256)}`
}

function segmentsFault(t: Trajectory): string | null {
  let at = 0
  for (const s of t.segments) {
    if (!isOneOf(segmentKinds, s.kind))
      return `a segment's kind must be one of ${segmentKinds.join(', ')}, got ${show(s.kind)}`
    if (s.start !== at || !isCount(s.end) || s.end < s.start || s.end > t.tokens.length)
      return `segments must cover the tokens in order from ${at}, got ${s.kind} [${show(s.start)}, ${show(s.end)})`
    if (!Number.isSafeInteger(s.weightVersion) || s.weightVersion < -1)
      return `a segment's weight version must be a whole number from -1, got ${show(s.weightVersion)}`
    const sampled = sampledKinds.has(s.kind)
    if (sampled !== s.weightVersion >= 0 && s.end > s.start)
      return `a ${s.kind} segment must ${sampled ? '' : 'not '}carry a weight version, got ${s.weightVersion}`
    const mark = sampled ? 1 : 0
    for (let i = s.start; i < s.end; i++)
      if (t.trainable[i] !== mark)
        return `token ${i} of a ${s.kind} segment must ${sampled ? '' : 'not '}be trainable, got ${t.trainable[i]}`
    const fault = callFault(s)
    if (fault) return fault
    at = s.end
  }
  return at === t.tokens.length ? null : `segments must end at token ${t.tokens.length}, got ${at}`
}

function imagesFault(t: Trajectory): string | null {
  let at = 0
  for (const { sha256, tokenStart, tokenCount } of t.images) {
    if (!isSha256(sha256)) return `image sha256 must be 64 hex digits, got ${show(sha256)}`
    if (!isCount(tokenStart) || !isCount(tokenCount))
      return `an image run must be two whole numbers, got ${show(tokenStart)} and ${show(tokenCount)}`
    const end = tokenStart + tokenCount
    if (tokenStart < at || tokenCount < 1 || end > t.tokens.length)
      return `image runs must lie in order inside the tokens, got [${tokenStart}, ${end})`
    for (let i = tokenStart + 1; i < end; i++)
      if (t.tokens[i] !== t.tokens[tokenStart])
        return `an image run must repeat one pad token, got ${t.tokens[i]} at ${i}`
    at = end
  }
  return null
}

function tokensFault(t: Trajectory): string | null {
  const { tokens, logprobs, entropies, trainable } = t
  for (let i = 0; i < tokens.length; i++) {
    const logprob = logprobs[i]!
    const entropy = entropies[i]!
    if (tokens[i]! < 0) return `token ${i} must be an id from 0, got ${tokens[i]}`
    if (!(Number.isFinite(logprob) && Number.isFinite(entropy)) || logprob > 0)
      return `token ${i} needs a finite log-probability <= 0 and a finite entropy, got ${logprob}, ${entropy}`
    if (trainable[i] === 0 && (logprob !== 0 || entropy !== 0))
      return `token ${i} was not sampled and must carry zeros, got ${logprob}, ${entropy}`
  }
  return null
}

/** The broken rule and the value, or null. */
export function trajectoryFault(t: Trajectory): string | null {
  const n = t.tokens.length
  for (const name of ['logprobs', 'entropies', 'trainable'] as const)
    if (t[name].length !== n) return `${name} must have ${n} entries, got ${t[name].length}`
  return scalarFault(t) ?? segmentsFault(t) ?? imagesFault(t) ?? tokensFault(t)
}

/** Throws on a broken invariant, naming the trajectory, the rule and the value. */
export function checkTrajectory(t: Trajectory): void {
  const fault = trajectoryFault(t)
  if (fault) throw new Error(`trajectory ${t.id}: ${fault}. The rollout that made it is broken; do not train on it.`)
}
