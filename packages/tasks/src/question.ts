/**
 * From a spec to what the agent gets: picture, wording, tools, documents, gallery and the grader. Not here: the tools themselves (@axpo/agent), the rendering
 * for big models (vlm.ts).
 */
import { applyVariant } from './icon-variant.ts'
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
  type AnyFamily,
  type Difficulty,
  defaultDifficulty,
  generateSpec,
  type ImageSearchSpec,
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

/** 8-bit RGB, row-major, 3 bytes a pixel. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** A known picture that image_search may find, under the name it answers with. */
export interface GalleryEntry {
  readonly title: string
  readonly image: Picture
}

export interface Question {
  /** `${family}-${split}-${index}` */
  readonly id: string
  readonly family: AnyFamily
  readonly split: Split
  readonly messages: readonly ChatMessage[]
  readonly tools: readonly string[]
  /** Originals, 128 x 128 RGB. */
  readonly images: readonly Picture[]
  readonly documents: readonly SearchDocument[]
  /** Pictures that image_search looks through; empty where that tool is not offered. */
  readonly gallery: readonly GalleryEntry[]
  readonly gold: string
  /** Solvable without a tool. */
  readonly easy: boolean
  readonly spec: Spec
}

export const suiteTools: readonly string[] = ['image_zoom_in_tool', 'python', 'search']
/** Tools of the held-out family: one that no training prompt offers. */
export const heldOutTools: readonly string[] = [...suiteTools, 'image_search']

/** Pixels of a cell's drawing: a quarter of the canvas, whatever the grid. */
const cell = canvasSize / 4
/** Place of the hidden digit's 8 x 8 pixels in a cell's drawing. */
const hiddenDigitPlace = { x: 12, y: 20 }

function cellCorner(spec: ZoomSpec, place: { readonly row: number; readonly column: number }) {
  const side = canvasSize / spec.difficulty.grid
  return { x: place.column * side + (side - cell) / 2, y: place.row * side + (side - cell) / 2 }
}

/** Top-left corner, in pixels of the canvas, of the 8 x 8 pixels that a cell's digit stands in. */
export function hiddenDigitCorner(spec: ZoomSpec, place: { readonly row: number; readonly column: number }) {
  const { x, y } = cellCorner(spec, place)
  return { x: x + hiddenDigitPlace.x, y: y + hiddenDigitPlace.y }
}

function drawZoom(canvas: Canvas, spec: ZoomSpec, hidden: boolean): void {
  for (const place of spec.cells) {
    const { marker, digit } = place
    const { x, y } = cellCorner(spec, place)
    drawMarker(canvas, marker, x + 8, y + 2 + 2)
    const corner = hiddenDigitCorner(spec, place)
    if (hidden) drawHiddenDigit(canvas, digit, corner.x, corner.y)
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

/** Centred, so that turning or mirroring the whole picture maps the icon's place onto itself. */
function drawCentredIcon(canvas: Canvas, bits: readonly boolean[]): void {
  drawBits(canvas, (i) => bits[i]!, 8, 32, 32, 8)
}

/** The original picture of an item. `hidden`: draw the small digits of the zoom family too. */
export function drawQuestion(spec: Spec, easy: boolean, hidden = true): Canvas {
  const canvas = createCanvas()
  if (spec.family === 'zoom') drawZoom(canvas, spec, hidden)
  else if (spec.family === 'python') drawPython(canvas, spec)
  else if (spec.family === 'search') drawSearch(canvas, spec)
  else drawCentredIcon(canvas, applyVariant(iconBits(spec.entity), spec.variant))
  if (easy) drawDigit(canvas, spec.answer, canvasSize - cell + 8, 4, 4)
  addNoise(canvas, spec.difficulty.noise, spec.family, spec.split, spec.index)
  return canvas
}

const canonicalIcons = new Map<number, Picture>()

/** An entity's icon as the gallery shows it: upright, centred, without noise. Made once an entity. */
export function canonicalIcon(entity: number): Picture {
  let icon = canonicalIcons.get(entity)
  if (!icon) {
    const canvas = createCanvas()
    drawCentredIcon(canvas, iconBits(entity))
    icon = toRgb(canvas)
    canonicalIcons.set(entity, icon)
  }
  return icon
}

/** Icons of the entities that the episode's documents name, by number: the place in the list tells nothing. */
function galleryOf(spec: ImageSearchSpec): GalleryEntry[] {
  const entities = [...new Set(spec.facts.map((f) => f.entity))].sort((a, b) => a - b)
  return entities.map((entity) => ({ title: `e${entity}`, image: canonicalIcon(entity) }))
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
export function documentsOf(spec: SearchSpec | ImageSearchSpec): SearchDocument[] {
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
    tools: spec.family === 'image_search' ? heldOutTools : suiteTools,
    images: [toRgb(drawQuestion(spec, easy))],
    documents: spec.family === 'search' || spec.family === 'image_search' ? documentsOf(spec) : [],
    gallery: spec.family === 'image_search' ? galleryOf(spec) : [],
    gold: String(spec.answer),
    easy,
    spec,
  }
}

export function loadQuestion(
  family: AnyFamily,
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
