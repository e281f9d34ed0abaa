/**
 * The same items for a big vision-language model behind an OpenAI-compatible endpoint: English messages and a 2048 px picture that is shown at 512 px. Spec, gold,
 * documents, gallery and tools are the question's own. Not here: the client, the tools.
 *
 * The picture is the 128 px canvas, each pixel a block of 16 x 16, but for the hidden digits of the zoom family: at 512 px an enlarged one could be read. They
 * are woven into the 2048 px as a 2 px checker that keeps the mean of every aligned 4 x 4 block: the box-filtered 512 px show exactly nothing of them.
 */
import { boxFilter, encodePng, enlarge } from './picture.ts'
import { type ChatMessage, drawQuestion, hiddenDigitCorner, type Picture, type Question } from './question.ts'
import { canvasSize, iconBits, isInk, markerBits } from './raster.ts'
import type { Spec, ZoomSpec } from './spec.ts'

/** Sides of the original and of what the model is shown, in pixels. */
export const vlmSide = 2048
export const vlmShownSide = 512
const scale = vlmSide / canvasSize
const contrast = 96

export interface VlmRendering {
  /** `{ type: 'image' }` stands for the shown picture. */
  readonly messages: readonly ChatMessage[]
  readonly image: {
    /** PNG of the original, which tools crop. */
    readonly png: Uint8Array
    readonly side: number
    /** PNG of what the model is shown. */
    readonly shownPng: Uint8Array
    readonly shownSide: number
  }
  /** Names of the tools to offer. */
  readonly tools: readonly string[]
}

/** One digit as a checker in the 128 x 128 pixels of its place; grey data, changed in place. */
function weaveDigit(data: Uint8Array, digit: number, corner: { readonly x: number; readonly y: number }): void {
  for (let gy = 0; gy < 7; gy++) {
    for (let gx = 0; gx < 5; gx++) {
      if (!isInk(digit, gx, gy)) continue
      const left = (corner.x + 1 + gx) * scale
      const top = (corner.y + gy) * scale
      // a block of one canvas pixel has one grey: the same step up and down keeps its mean
      const grey = data[top * vlmSide + left]!
      const step = Math.min(contrast, grey, 255 - grey)
      for (let y = top; y < top + scale; y++)
        for (let x = left; x < left + scale; x++)
          data[y * vlmSide + x] = grey + (((x >> 1) + (y >> 1)) & 1 ? -step : step)
    }
  }
}

/** The original, 2048 x 2048, grey. */
function drawGrey(spec: Spec, easy: boolean): Picture {
  const canvas = drawQuestion(spec, easy, false)
  const picture = enlarge({ width: canvasSize, height: canvasSize, data: canvas }, scale)
  if (spec.family === 'zoom')
    for (const cell of spec.cells) weaveDigit(picture.data, cell.digit, hiddenDigitCorner(spec, cell))
  return picture
}

/** The original, 2048 x 2048 RGB, as a zoom tool needs it (12 MiB). */
export function drawForVlm(question: Question): Picture {
  const { width, height, data } = drawGrey(question.spec, question.easy)
  const rgb = new Uint8Array(data.length * 3)
  for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3)]!
  return { width, height, data: rgb }
}

/** A picture or crop as the model is shown it: box-filtered by the smallest whole factor that makes both sides at most 512 pixels. */
export function shownToVlm(picture: Picture): Picture {
  const factor = Math.ceil(Math.max(picture.width, picture.height) / vlmShownSide)
  return factor === 1 ? picture : boxFilter(picture, factor)
}

const system = `You answer one question about a picture. Think, call tools where you need them, then answer.
Your final answer is exactly one character, the digit 0, 1, 2 or 3, and nothing else.
You are shown the picture at ${vlmShownSide} x ${vlmShownSide} pixels; the original that tools work on has ${vlmSide} x ${vlmSide}. Boxes run from 0 to 1000 on both axes, from the top-left corner.
Where a large single digit stands in the top-right corner of the picture, it is the answer and no tool is needed.`

/** Rows of a bit pattern from the top, # bright and . dark. */
function patternRows(bits: readonly boolean[], side: number): string {
  return Array.from({ length: side }, (_, row) =>
    bits
      .slice(row * side, (row + 1) * side)
      .map((bit) => (bit ? '#' : '.'))
      .join(''),
  ).join('\n')
}

function markerPattern(spec: ZoomSpec): string {
  const bits = markerBits[spec.cells[0]!.marker]!
  return patternRows(
    Array.from({ length: 16 }, (_, i) => ((bits >> (15 - i)) & 1) === 1),
    4,
  )
}

function wording(spec: Spec): string {
  if (spec.family === 'zoom') {
    const { grid } = spec.difficulty
    return `The picture is a grid of ${grid} x ${grid} cells. ${spec.cells.length} of them hold a square marker and under it a small digit, which only a crop of the original shows, as a chequered shape. Which digit stands under this marker? It has 4 x 4 squares (# bright, . dark):\n${markerPattern(spec)}`
  }
  if (spec.family === 'python')
    return 'The picture shows two numbers of two digits each: a at the top, b below it. What is ((a * b) mod 13) mod 4?'
  const documents = `Documents are titled by entity and attribute, for example "e0 a1"; the text is the value.`
  if (spec.family === 'image_search')
    return `The picture shows the icon of an entity, turned, mirrored or inverted. Find its name with image_search, then search for the fact. ${documents} What is attribute a${spec.attribute} of this entity?`
  const catalogue = Array.from({ length: spec.difficulty.entities }, (_, e) => `e${e}\n${patternRows(iconBits(e), 8)}`)
  return `The picture shows the icon of an entity, 8 x 8 squares. These are all entities (# bright, . dark):\n${catalogue.join('\n')}\n${documents} What is attribute a${spec.attribute} of this entity?`
}

export function renderForVlm(question: Question): VlmRendering {
  const original = drawGrey(question.spec, question.easy)
  return {
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: [{ type: 'image' }, { type: 'text', text: wording(question.spec) }] },
    ],
    image: {
      png: encodePng(original),
      side: vlmSide,
      shownPng: encodePng(shownToVlm(original)),
      shownSide: vlmShownSide,
    },
    tools: question.tools,
  }
}
