/** Sample items as one PNG, for viewers without a browser: the cards of gallery.ts, two across. Not here: the HTML page (gallery.ts). */
import { characterWidth, drawText, lineHeight } from './font.ts'
import { type CaptionedPicture, createCard, type DemonstrationFor, type GalleryCard } from './gallery.ts'
import { channelsOf, encodePng } from './picture.ts'
import type { Picture, Question } from './question.ts'

type Colour = readonly [number, number, number]
const paper: Colour = [244, 244, 242]
const sheet: Colour = [255, 255, 255]
const black: Colour = [28, 28, 28]
const grey: Colour = [110, 110, 110]
const orange: Colour = [161, 75, 0]

/** Pixels: side of a picture and of a thumbnail, space between things, a card's width. */
const pictureSide = 192
const thumbnailSide = 48
const gap = 10
const cardWidth = 3 * pictureSide + 4 * gap
const textScale = 2
const smallScale = 1
const thumbnailsAcross = Math.floor((cardWidth - gap) / (thumbnailSide + gap))

function fillRectangle(
  canvas: Picture,
  left: number,
  top: number,
  width: number,
  height: number,
  colour: Colour,
): void {
  for (let y = top; y < top + height; y++) {
    const end = (y * canvas.width + left + width) * 3
    for (let i = (y * canvas.width + left) * 3; i < end; i += 3) {
      canvas.data[i] = colour[0]
      canvas.data[i + 1] = colour[1]
      canvas.data[i + 2] = colour[2]
    }
  }
}

function createSheet(width: number, height: number): Picture {
  const canvas = { width, height, data: new Uint8Array(width * height * 3) }
  fillRectangle(canvas, 0, 0, width, height, paper)
  return canvas
}

/** Nearest neighbour, to a square of `side` pixels. */
function drawPicture(canvas: Picture, picture: Picture, left: number, top: number, side: number): void {
  const channels = channelsOf(picture)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = Math.floor((y * picture.height) / side) * picture.width + Math.floor((x * picture.width) / side)
      for (let c = 0; c < 3; c++)
        canvas.data[((top + y) * canvas.width + left + x) * 3 + c] = picture.data[from * channels + (c % channels)]!
    }
  }
}

function write(canvas: Picture, text: string, left: number, top: number, scale: number, colour: Colour): void {
  drawText(text, (x, y) => fillRectangle(canvas, left + x * scale, top + y * scale, scale, scale, colour))
}

/** Words packed into lines of at most `width` characters; a longer word is cut. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    let rest = word
    if (line && line.length + 1 + rest.length > width) {
      lines.push(line)
      line = ''
    }
    for (; rest.length > width; rest = rest.slice(width)) lines.push(rest.slice(0, width))
    line = line ? `${line} ${rest}` : rest
  }
  return line ? [...lines, line] : lines
}

interface TextBlock {
  readonly lines: readonly string[]
  readonly scale: number
  readonly colour: Colour
}

function textBlocks(card: GalleryCard): TextBlock[] {
  const block = (text: string, scale: number, colour: Colour): TextBlock => ({
    lines: wrapText(text, Math.floor((cardWidth - 2 * gap) / (characterWidth * scale))),
    scale,
    colour,
  })
  return [
    block(card.wording, textScale, black),
    block(card.facts, textScale, card.question.easy ? orange : black),
    ...card.calls.map((call) => block(call, smallScale, black)),
    ...(card.documents ? [block(card.documents, smallScale, grey)] : []),
  ]
}

const blockHeight = ({ lines, scale }: TextBlock) => lines.length * lineHeight * scale + gap / 2
const captionHeight = lineHeight * smallScale
const headHeight = gap + lineHeight * smallScale

function cardHeight(card: GalleryCard): number {
  const text = textBlocks(card).reduce((sum, block) => sum + blockHeight(block), 0)
  const rows = Math.ceil(card.thumbnails.length / thumbnailsAcross)
  return headHeight + pictureSide + captionHeight + gap + text + rows * (thumbnailSide + captionHeight + gap) + gap
}

function drawCaptioned(
  canvas: Picture,
  { caption, picture }: CaptionedPicture,
  left: number,
  top: number,
  side: number,
) {
  drawPicture(canvas, picture, left, top, side)
  write(canvas, caption, left, top + side + 2, smallScale, grey)
}

function drawCard(canvas: Picture, card: GalleryCard, left: number, top: number): void {
  fillRectangle(canvas, left, top, cardWidth, cardHeight(card), sheet)
  write(canvas, card.question.id, left + gap, top + gap / 2, smallScale, grey)
  let y = top + headHeight
  for (const [i, captioned] of card.pictures.entries())
    drawCaptioned(canvas, captioned, left + gap + i * (pictureSide + gap), y, pictureSide)
  y += pictureSide + captionHeight + gap
  for (const block of textBlocks(card)) {
    for (const [i, line] of block.lines.entries())
      write(canvas, line, left + gap, y + i * lineHeight * block.scale, block.scale, block.colour)
    y += blockHeight(block)
  }
  for (const [i, captioned] of card.thumbnails.entries()) {
    const x = left + gap + (i % thumbnailsAcross) * (thumbnailSide + gap)
    const row = Math.floor(i / thumbnailsAcross)
    drawCaptioned(canvas, captioned, x, y + row * (thumbnailSide + captionHeight + gap), thumbnailSide)
  }
}

/** PNG bytes. Cards stand in the order of the questions, two across. */
export function renderContactSheet(questions: readonly Question[], demonstrationFor: DemonstrationFor): Uint8Array {
  const across = 2
  const cards = questions.map((question) => createCard(question, demonstrationFor))
  const rows = Array.from({ length: Math.ceil(cards.length / across) }, (_, i) =>
    cards.slice(i * across, (i + 1) * across),
  )
  const heights = rows.map((row) => Math.max(...row.map(cardHeight)))
  const canvas = createSheet(
    gap + across * (cardWidth + gap),
    heights.reduce((sum, h) => sum + h + gap, gap),
  )
  let top = gap
  for (const [i, row] of rows.entries()) {
    for (const [j, card] of row.entries()) drawCard(canvas, card, gap + j * (cardWidth + gap), top)
    top += heights[i]! + gap
  }
  return encodePng(canvas)
}
