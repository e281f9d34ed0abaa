/** From a spec to what the agent gets: picture, wording, tools, documents and the grader. Not here: the tools themselves (@axpo/agent). */
import { hashKey } from './random.ts'
import {
  addNoise,
  type Canvas,
  canvasSize,
  createCanvas,
  drawBits,
  drawDigit,
  drawHiddenDigit,
  drawMarker,
  iconBits,
  toRgb,
} from './raster.ts'
import {
  type Difficulty,
  defaultDifficulty,
  type Family,
  generateSpec,
  type PythonSpec,
  type SearchSpec,
  type Spec,
  type Split,
  type ZoomSpec,
} from './spec.ts'

export type ChatContent =
  | string
  | readonly ({ readonly type: 'text'; readonly text: string } | { readonly type: 'image' })[]
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: ChatContent
}

export interface SearchDocument {
  readonly id: string
  readonly title: string
  readonly text: string
}

export interface Question {
  /** `${family}-${split}-${index}` */
  readonly id: string
  readonly family: Family
  readonly split: Split
  readonly messages: readonly ChatMessage[]
  readonly tools: readonly string[]
  /** Originals, 128 x 128 RGB. */
  readonly images: readonly { readonly width: number; readonly height: number; readonly data: Uint8Array }[]
  readonly documents: readonly SearchDocument[]
  readonly gold: string
  /** Solvable without a tool. */
  readonly easy: boolean
  readonly spec: Spec
}

export const suiteTools: readonly string[] = ['image_zoom_in_tool', 'python', 'search']

const cell = canvasSize / 4

function drawZoom(canvas: Canvas, spec: ZoomSpec): void {
  const side = canvasSize / spec.difficulty.grid
  for (const { row, column, marker, digit } of spec.cells) {
    const x = column * side + (side - cell) / 2
    const y = row * side + (side - cell) / 2
    drawMarker(canvas, marker, x + 8, y + 2 + 2)
    drawHiddenDigit(canvas, digit, x + 12, y + 20)
  }
}

function drawPython(canvas: Canvas, spec: PythonSpec): void {
  for (const [line, value] of [spec.a, spec.b].entries())
    for (const [i, digit] of [...String(value)].entries())
      drawDigit(canvas, Number(digit), 8 + i * 28, 32 + line * 48, 4)
}

function drawSearch(canvas: Canvas, spec: SearchSpec): void {
  const bits = iconBits(spec.entity)
  drawBits(canvas, (i) => bits[i]!, 8, 8, 48, 8)
}

/** The original picture of an item. */
export function drawQuestion(spec: Spec, easy: boolean): Canvas {
  const canvas = createCanvas()
  if (spec.family === 'zoom') drawZoom(canvas, spec)
  else if (spec.family === 'python') drawPython(canvas, spec)
  else drawSearch(canvas, spec)
  if (easy) drawDigit(canvas, spec.answer, canvasSize - cell + 8, 4, 4)
  addNoise(canvas, spec.difficulty.noise, spec.family, spec.split, spec.index)
  return canvas
}

function wording(spec: Spec): string {
  if (spec.family === 'zoom') return `digit at m${spec.cells[0]!.marker}?`
  if (spec.family === 'python') return '(a*b%13)%4?'
  return `a${spec.attribute} of this icon?`
}

type Fact = SearchSpec['facts'][number]

/**
 * Documents of an episode. An engine that shows one hit breaks ties by id: the wanted fact has the last id, and a near miss stands for each half of it (its
 * attribute of another entity, another attribute of its entity). So a query that names a wrong half, or one half only, never returns it.
 */
export function documentsOf(spec: SearchSpec): SearchDocument[] {
  const { entities, attributes } = spec.difficulty
  const wanted = spec.facts[0]!
  const others: Fact[] = spec.facts.slice(1)
  const wrongValue = (half: string) => (wanted.value + 1 + (hashKey(0, half, spec.split, spec.index) % 3)) % 4
  if (entities > 1 && !others.some((f) => f.attribute === wanted.attribute))
    others.push({ ...wanted, entity: (wanted.entity + 1) % entities, value: wrongValue('entity') })
  if (attributes > 1 && !others.some((f) => f.entity === wanted.entity))
    others.push({ ...wanted, attribute: (wanted.attribute + 1) % attributes, value: wrongValue('attribute') })
  return [...others, wanted].map(({ entity, attribute, value }, i) => ({
    id: `d${String(i).padStart(3, '0')}`,
    title: `e${entity} a${attribute}`,
    text: `${value}`,
  }))
}

/** The zoom box (0-1000) of a cell. */
export function cellBox(
  spec: ZoomSpec,
  place: { readonly row: number; readonly column: number },
): [number, number, number, number] {
  const side = 1000 / spec.difficulty.grid
  return [place.column * side, place.row * side, (place.column + 1) * side, (place.row + 1) * side]
}

/** `easyShare` is s: the share of items that need no tool. */
export function createQuestion(spec: Spec, easyShare: number): Question {
  if (!(easyShare >= 0 && easyShare <= 1))
    throw new Error(`createQuestion: easyShare must lie in [0, 1], got ${easyShare}.`)
  const easy = spec.easyDraw < easyShare
  return {
    id: `${spec.family}-${spec.split}-${spec.index}`,
    family: spec.family,
    split: spec.split,
    messages: [{ role: 'user', content: [{ type: 'image' }, { type: 'text', text: wording(spec) }] }],
    tools: suiteTools,
    images: [toRgb(drawQuestion(spec, easy))],
    documents: spec.family === 'search' ? documentsOf(spec) : [],
    gold: String(spec.answer),
    easy,
    spec,
  }
}

export function loadQuestion(
  family: Family,
  split: Split,
  index: number,
  easyShare: number,
  difficulty: Difficulty = defaultDifficulty,
): Question {
  return createQuestion(generateSpec(family, split, index, difficulty), easyShare)
}

/** Verifiable outcome reward: 1 for the exact answer, else 0. */
export function grade(question: Pick<Question, 'gold'>, answer: string | null): 0 | 1 {
  return answer !== null && answer.trim() === question.gold ? 1 : 0
}
