/**
 * Demonstrations for supervised fine-tuning, and the oracle that solves items. A demonstration fixes what the model would say; tools answer for real.
 *
 * The thinking before a call never names the place, the numbers or the entity: AXPO keeps the thinking and resamples the call, so the decision must stand in
 * the call. A free "thought" token gives prefixes their variety.
 */

import { cellBox, type Question } from './question.ts'
import { createRandom, type Random } from './random.ts'
import { type ImageSearchSpec, type PythonSpec, residue, type SearchSpec, type ZoomSpec } from './spec.ts'

export interface DemonstratedCall {
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>
  /** Whether the call leads to the answer. */
  readonly right: boolean
  /** Answer that an honest reading of the tool's reply gives; null when the reply shows none. */
  readonly reading: string | null
}

export interface Demonstration {
  readonly thinking: string
  readonly call: DemonstratedCall | null
  /** Thinking of the turn after the observation; unused without a call. */
  readonly thinkingAfter: string
  readonly answer: string
}

/** The 16 free thought words. */
export const thoughtWords: readonly string[] = [
  'hmm',
  'look',
  'so',
  'well',
  'ok',
  'now',
  'see',
  'let',
  'maybe',
  'first',
  'then',
  'right',
  'yes',
  'wait',
  'sure',
  'fine',
]

export const answers: readonly string[] = ['0', '1', '2', '3']

function zoomCall(spec: ZoomSpec, right: boolean, random: Random): DemonstratedCall {
  const target = right || spec.cells.length === 1 ? spec.cells[0]! : random.pick(spec.cells.slice(1))
  return {
    name: 'image_zoom_in_tool',
    arguments: { bbox_2d: cellBox(spec, target), label: '', img_idx: 0 },
    right: target === spec.cells[0],
    reading: String(target.digit),
  }
}

/** A wrong call misreads one operand by a digit. */
function pythonCall(spec: PythonSpec, right: boolean, random: Random): DemonstratedCall {
  let { a, b } = spec
  if (!right) {
    const shift = 1 + random.below(9)
    const misread = (n: number) => n - (n % 10) + (((n % 10) + shift) % 10)
    if (random.uniform() < 0.5) a = misread(a)
    else b = misread(b)
  }
  return { name: 'python', arguments: { code: `${a}*${b}%13%4` }, right, reading: String(residue(a, b)) }
}

function searchCall(spec: SearchSpec | ImageSearchSpec, right: boolean, random: Random): DemonstratedCall {
  const target = right || spec.facts.length === 1 ? spec.facts[0]! : random.pick(spec.facts.slice(1))
  return {
    name: 'search',
    arguments: { query: `e${target.entity} a${target.attribute}` },
    right: target === spec.facts[0],
    reading: String(target.value),
  }
}

/** Of an image_search item the right first call looks the picture up (and shows no answer yet), the wrong one searches for an entity it guessed. */
function imageSearchCall(spec: ImageSearchSpec, right: boolean, random: Random): DemonstratedCall {
  if (!right) return searchCall(spec, false, random)
  return { name: 'image_search', arguments: { img_idx: 0 }, right: true, reading: null }
}

/** The first call of an item; a plausible wrong one where `right` is false. */
export function demonstrateCall(question: Pick<Question, 'spec'>, right: boolean, random: Random): DemonstratedCall {
  const { spec } = question
  if (spec.family === 'zoom') return zoomCall(spec, right, random)
  if (spec.family === 'python') return pythonCall(spec, right, random)
  return spec.family === 'search' ? searchCall(spec, right, random) : imageSearchCall(spec, right, random)
}

/** All right calls of an item, in order; the last one's reading is the answer. */
export function rightCalls(question: Pick<Question, 'spec'>): readonly DemonstratedCall[] {
  const random = createRandom('right calls')
  const first = demonstrateCall(question, true, random)
  return question.spec.family === 'image_search' ? [first, searchCall(question.spec, true, random)] : [first]
}

/** `kind`: 'right' or plausible 'wrong' tool call with an honest reading of its reply, or 'none': right on easy items, a guess otherwise. */
export function demonstrate(question: Question, kind: 'right' | 'wrong' | 'none', random: Random): Demonstration {
  if (question.family === 'image_search')
    throw new Error(
      'demonstrate: image_search is held out, nothing is trained on it. Use rightCalls to look at its calls.',
    )
  const thinking = `${random.pick(thoughtWords)} `
  if (kind === 'none')
    return { thinking, call: null, thinkingAfter: '', answer: question.easy ? question.gold : random.pick(answers) }
  const call = demonstrateCall(question, kind === 'right', random)
  return {
    thinking,
    call,
    thinkingAfter: `${random.pick(thoughtWords)} `,
    answer: call.reading ?? random.pick(answers),
  }
}

export interface SftMixture {
  /** Share of tool demonstrations. */
  readonly toolShare: number
  /** Share of right arguments among them. */
  readonly rightShare: number
}

/** Phase 1 teaches format, reading and localisation; phase 2 sets how often a tool is tried (p0) and how often its arguments are right (q0). */
export const sftPhases: { readonly 1: SftMixture; readonly 2: SftMixture } = {
  1: { toolShare: 0.7, rightShare: 1 },
  2: { toolShare: 0.3, rightShare: 0.3 },
}

/** Demonstration number `index` of a mixture, for a question; keyed, so the same every time. */
export function demonstrationAt(question: Question, mixture: SftMixture, seed: number, index: number): Demonstration {
  const random = createRandom('demonstration', seed, index, question.id)
  const kind =
    random.uniform() >= mixture.toolShare ? 'none' : random.uniform() < mixture.rightShare ? 'right' : 'wrong'
  return demonstrate(question, kind, random)
}

/** Oracle: with tools always the answer; without, the answer on easy items and a keyed guess otherwise (expected accuracy s + (1 - s) / 4). */
export function solve(question: Question, withTools: boolean): string {
  if (question.easy) return question.gold
  if (withTools) return rightCalls(question).at(-1)!.reading ?? ''
  return createRandom('solve', question.id).pick(answers)
}
