/**
 * A tabular policy in a small world of tool use, for checking the policy layer without any model. Each question belongs to a family and a context. The policy
 * thinks one token, then answers at once (right with probability g) or calls a tool with one of A arguments; the tool's answer is useful only for the
 * context's right argument, and the policy reads it off. Two variants (toyKinds): a call may be right in part, and two calls in a row may be needed. Not here: learning (train.ts).
 *
 * Legend. A row is one softmax of the table; a rollout's token names the row that sampled it (-1: the environment's, or no choice) and the option taken.
 */
import type { Rollout, RolloutSegment } from '../rollout.ts'
import type { SampleJob, StepKey } from '../sampling.ts'

export const families = 3
export const contexts = 32
export const thoughts = 4
export const argumentCount = 16

/** Initial policy: p0 chance of a call, q0 mean chance that a call is right (context by context between 0.2 and 1.8 times this), chance of reading well. */
export interface ToyStart {
  readonly toolRate: number
  readonly callRight: number
  readonly readRight: number
  /** Chance of the argument that is right in part, alike in all contexts; left out: as likely as each wrong one. */
  readonly callPartly?: number
  /** Chance that the first of two calls is right, alike in all contexts. */
  readonly firstRight: number
}

export const toyStart: ToyStart = { toolRate: 0.3, callRight: 0.33, readRight: 0.98, firstRight: 0.8 }

/** Variants of the world, each with the policy it begins with. */
export interface ToyKind {
  /** Calls that a rollout makes which makes any; the last one's argument decides, and the one before must be right too. */
  readonly calls: 1 | 2
  /** Reward of one argument a context that is right in part, read well. 0: there is none. */
  readonly partialReward: number
  readonly start: ToyStart
}

export const toyKinds = {
  plain: { calls: 1, partialReward: 0, start: toyStart },
  /** A call that is right in part is easy to come by, a right one is rare. */
  graded: { calls: 1, partialReward: 0.6, start: { ...toyStart, callRight: 0.05, callPartly: 0.33 } },
  /** The first call is mostly right: the second one's argument is what must be found. */
  'two-calls': { calls: 2, partialReward: 0, start: toyStart },
} as const satisfies Record<string, ToyKind>
export type ToyKindName = keyof typeof toyKinds

interface Row {
  readonly start: number
  readonly size: number
}

/** Family f: thought, decision (option 1: call) and reading (option 1: well); family f, context c: argument. Options of all rows one after another. */
const rows: Row[] = []
function addRow(size: number): number {
  const last = rows.at(-1)
  rows.push({ start: last ? last.start + last.size : 0, size })
  return rows.length - 1
}
const thoughtRow = Array.from({ length: families }, () => addRow(thoughts))
export const decisionRow = Array.from({ length: families }, () => addRow(2))
const readRow = Array.from({ length: families }, () => addRow(2))
export const argumentRow = Array.from({ length: families * contexts }, () => addRow(argumentCount))
/** Of the first of two calls. */
const firstRow = Array.from({ length: families * contexts }, () => addRow(argumentCount))
export const optionCount = rows.at(-1)!.start + rows.at(-1)!.size
export const rowOf = (row: number): Row => rows[row]!

/** Uniform in [0, 1) from up to five small integers; 32-bit mixing, so that 10^8 of them are affordable. */
export function uniform(a: number, b: number, c: number, d: number, e: number): number {
  let h = 0x9e3779b9
  for (const k of [a, b, c, d, e]) {
    h = Math.imul(h ^ k, 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return (h >>> 0) / 2 ** 32
}

const rightArgument = (seed: number, context: number): number =>
  Math.floor(uniform(seed, context, 1, 0, 0) * argumentCount)
const partlyRightArgument = (seed: number, context: number): number =>
  (rightArgument(seed, context) + 1) % argumentCount
const rightFirstArgument = (seed: number, context: number): number =>
  Math.floor(uniform(seed, context, 4, 0, 0) * argumentCount)

/** Log-probabilities of every option, and entropies of every row in nats. */
export interface Table {
  readonly logits: Float64Array
  readonly logprobs: Float64Array
  readonly entropies: Float64Array
}

/** Brings log-probabilities and entropies up to date with the logits. */
export function normalise({ logits, logprobs, entropies }: Table): void {
  for (const [r, { start, size }] of rows.entries()) {
    let most = Number.NEGATIVE_INFINITY
    for (let i = start; i < start + size; i++) most = Math.max(most, logits[i]!)
    let sum = 0
    for (let i = start; i < start + size; i++) sum += Math.exp(logits[i]! - most)
    const norm = most + Math.log(sum)
    let entropy = 0
    for (let i = start; i < start + size; i++) {
      logprobs[i] = logits[i]! - norm
      entropy -= logprobs[i]! * Math.exp(logprobs[i]!)
    }
    entropies[r] = entropy
  }
}

export function createTable(seed: number, start: ToyStart = toyStart): Table {
  const table = {
    logits: new Float64Array(optionCount),
    logprobs: new Float64Array(optionCount),
    entropies: new Float64Array(rows.length),
  }
  const odds = (p: number) => Math.log(p / (1 - p))
  for (const r of decisionRow) table.logits[rows[r]!.start + 1] = odds(start.toolRate)
  for (const r of readRow) table.logits[rows[r]!.start + 1] = odds(start.readRight)
  for (const [context, r] of argumentRow.entries()) {
    const right = start.callRight * (0.2 + 1.6 * uniform(seed, context, 2, 0, 0))
    const { callPartly: partly } = start
    if (partly === undefined) {
      table.logits[rows[r]!.start + rightArgument(seed, context)] = odds(right) + Math.log(argumentCount - 1)
      continue
    }
    const each = (1 - right - partly) / (argumentCount - 2)
    table.logits[rows[r]!.start + rightArgument(seed, context)] = Math.log(right / each)
    table.logits[rows[r]!.start + partlyRightArgument(seed, context)] = Math.log(partly / each)
  }
  for (const [context, r] of firstRow.entries())
    table.logits[rows[r]!.start + rightFirstArgument(seed, context)] =
      odds(start.firstRight) + Math.log(argumentCount - 1)
  normalise(table)
  return table
}

export interface ToyRollout extends Rollout {
  /** Row and option of each token. */
  readonly rows: Int16Array
  readonly options: Int16Array
}

const prompt: RolloutSegment = { kind: 'prompt', start: 0, end: 1 }
const think: RolloutSegment = { kind: 'think', start: 1, end: 2 }
const answered: readonly RolloutSegment[] = [prompt, think, { kind: 'answer', start: 2, end: 3 }]
/** A call: opening tag, argument, closing tag; then the observation. */
const callTokens = 4
/** Opening tag of the first call: the decision. */
const firstCall = 2
/** By the arguments: the calls, each with its observation, then the answer. */
function acted(chosen: readonly number[]): readonly RolloutSegment[] {
  const end = firstCall + callTokens * chosen.length
  return [
    prompt,
    think,
    ...chosen.flatMap((a, i): RolloutSegment[] => {
      const start = firstCall + callTokens * i
      const call = { name: 'toy', argumentsJson: `{"a":${a}}`, status: 'ok' }
      return [
        { kind: 'act', start, end: start + 3, call },
        { kind: 'observe', start: start + 3, end: start + 4 },
      ]
    }),
    { kind: 'answer', start: end, end: end + 1 },
  ]
}
const answeredTrainable = Uint8Array.of(0, 1, 1)
const actedTrainable = {
  1: Uint8Array.of(0, 1, 1, 1, 1, 0, 1),
  2: Uint8Array.of(0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1),
} as const

/** What does not change in a run: seed, and g, the chance of a right answer without a tool. */
export interface ToyWorld extends Partial<Pick<ToyKind, 'calls' | 'partialReward'>> {
  readonly seed: number
  readonly guess: number
}

interface Place {
  readonly family: number
  readonly context: number
}

/** Family and context of a step's question. */
function placeOf({ seed }: ToyWorld, step: number, question: number): Place {
  const family = question % families
  return { family, context: family * contexts + Math.floor(uniform(seed, step, question, 3, 0) * contexts) }
}

/** Rows of the tokens of a rollout that calls. The second call follows of itself: its opening tag is no choice. */
function callRows({ family, context }: Place, calls: 1 | 2): Int16Array {
  const [thought, decision, read] = [thoughtRow[family]!, decisionRow[family]!, readRow[family]!]
  const last = [argumentRow[context]!, -1, -1, read]
  return Int16Array.from([-1, thought, decision, ...(calls === 1 ? last : [firstRow[context]!, -1, -1, -1, ...last])])
}

/** Reward of a rollout that called, from the options it took. */
function callReward({ seed, partialReward = 0 }: ToyWorld, context: number, options: Int16Array): number {
  const [argument, , , read] = options.subarray(options.length - callTokens)
  const first = options.length > firstCall + 1 + callTokens ? options[firstCall + 1] : rightFirstArgument(seed, context)
  if (read !== 1 || first !== rightFirstArgument(seed, context)) return 0
  if (argument === rightArgument(seed, context)) return 1
  return argument === partlyRightArgument(seed, context) ? partialReward : 0
}

/** Runs one job of the policy layer. A token depends on the key, its place and the table only. */
export function toyRollout(table: Table, world: ToyWorld, key: StepKey, job: SampleJob<ToyRollout>): ToyRollout {
  const place = placeOf(world, key.step, job.question)
  const { calls: callCount = 1 } = world
  const rowsOfCall = callRows(place, callCount)
  const options = new Int16Array(rowsOfCall.length)
  const kept = job.prefix?.tokenCount ?? 1
  const keyed = (token: number) => uniform(world.seed, key.step, job.question, job.sample, 16 + token)
  const sample = (token: number): number => {
    if (token < kept) return job.prefix!.parent.options[token]!
    const { start, size } = rows[rowsOfCall[token]!]!
    let left = keyed(token)
    for (let i = 0; i < size - 1; i++) {
      left -= Math.exp(table.logprobs[start + i]!)
      if (left < 0) return i
    }
    return size - 1
  }
  options[1] = sample(1)
  options[2] = sample(2)
  const calls = options[2] === 1
  if (calls)
    for (let token = 3; token < options.length; token++) if (rowsOfCall[token]! >= 0) options[token] = sample(token)
  const length = calls ? options.length : 3
  const reward = calls ? callReward(world, place.context, options) : keyed(7) < world.guess ? 1 : 0
  const logprobs = new Float32Array(length)
  const entropies = new Float32Array(length)
  for (let token = 1; token < length; token++) {
    const row = rowsOfCall[token]!
    if (row < 0) continue
    logprobs[token] = table.logprobs[rows[row]!.start + options[token]!]!
    entropies[token] = table.entropies[row]!
  }
  return {
    id: `${job.question}-${job.sample}`,
    question: job.question,
    sample: job.sample,
    parent: job.prefix ? { id: job.prefix.parent.id, forkToken: kept } : null,
    tokens: { length },
    logprobs,
    entropies,
    trainable: calls ? actedTrainable[callCount] : answeredTrainable,
    segments: calls ? acted(callCount === 1 ? [options[3]!] : [options[3]!, options[7]!]) : answered,
    reward,
    rows: rowsOfCall,
    options,
  }
}

/** Exact values of a policy, averaged over families and contexts: chance of a call, chance that a call leads to a right answer, mean reward (without partly right calls: chance of a right answer). */
export interface ToyValue {
  readonly toolRate: number
  readonly callRight: number
  readonly accuracy: number
}

/** p(t1): chance that a rollout which has opened a call ends right, in this context (0 .. families * contexts - 1). */
export function callValue(table: Table, world: ToyWorld, context: number): number {
  return chanceOfCall(table, world, context, rightArgument(world.seed, context))
}

/** Chance that a rollout which has opened a call ends with this argument read well, and the one before it right. */
function chanceOfCall(table: Table, { seed, calls = 1 }: ToyWorld, context: number, argument: number): number {
  const at = (row: number, option: number) => Math.exp(table.logprobs[rows[row]!.start + option]!)
  const last = at(argumentRow[context]!, argument) * at(readRow[Math.floor(context / contexts)]!, 1)
  return calls === 1 ? last : at(firstRow[context]!, rightFirstArgument(seed, context)) * last
}

export function toyValue(table: Table, world: ToyWorld): ToyValue {
  const total = { toolRate: 0, callRight: 0, accuracy: 0 }
  for (let context = 0; context < families * contexts; context++) {
    const p = Math.exp(table.logprobs[rows[decisionRow[Math.floor(context / contexts)]!]!.start + 1]!)
    const q = callValue(table, world, context)
    const partly = world.partialReward
      ? world.partialReward * chanceOfCall(table, world, context, partlyRightArgument(world.seed, context))
      : 0
    total.toolRate += p
    total.callRight += q
    total.accuracy += p * (q + partly) + (1 - p) * world.guess
  }
  const n = families * contexts
  return { toolRate: total.toolRate / n, callRight: total.callRight / n, accuracy: total.accuracy / n }
}
