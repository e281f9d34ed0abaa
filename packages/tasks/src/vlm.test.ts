import { decode } from 'fast-png'
import { expect, test } from 'vitest'
import {
  cellBox,
  createQuestion,
  drawForVlm,
  families,
  generateSpec,
  heldOutFamilies,
  hiddenDigitCorner,
  loadQuestion,
  renderForVlm,
  type Spec,
  shownToVlm,
  type ZoomSpec,
} from './index.ts'
import { cropToBox } from './picture.ts'
import { isInk } from './raster.ts'

const range = (n: number) => [...Array(n).keys()]
const zoomSpec = () => generateSpec('zoom', 'test', 3) as ZoomSpec

test('every family: English messages with one picture, the tools of the question, PNGs of 2048 and 512 px', () => {
  for (const family of [...families, ...heldOutFamilies]) {
    const question = loadQuestion(family, 'test', 2, 0.5)
    const { messages, image, tools } = renderForVlm(question)
    expect(messages.map((m) => m.role)).toEqual(['system', 'user'])
    expect(messages[0]!.content).toContain('exactly one character, the digit 0, 1, 2 or 3')
    const parts = messages[1]!.content as readonly { type: string; text?: string }[]
    expect(parts.map((p) => p.type)).toEqual(['image', 'text'])
    expect(parts[1]!.text).toMatch(/\?|:\n/)
    expect(tools).toBe(question.tools)
    const [original, shown] = [decode(image.png), decode(image.shownPng)]
    expect([original.width, original.height, shown.width, shown.height]).toEqual([2048, 2048, 512, 512])
    expect([image.side, image.shownSide]).toEqual([2048, 512])
  }
})

test('every canvas pixel is a block of 16 x 16, but for the hidden digits', () => {
  const question = loadQuestion('search', 'test', 4, 1)
  const picture = drawForVlm(question)
  const canvas = question.images[0]!
  for (const i of range(3000)) {
    const [x, y] = [(i * 7919) % 2048, (i * 104729) % 2048]
    expect(picture.data[3 * (y * 2048 + x)]).toBe(canvas.data[3 * ((y >> 4) * 128 + (x >> 4))])
  }
})

test('no leak: what is shown at 512 px has the same bytes whatever the hidden digits are; the originals differ', () => {
  const spec = zoomSpec()
  const other: Spec = { ...spec, cells: spec.cells.map((c) => ({ ...c, digit: (c.digit + 1) % 4 })) }
  const [a, b] = [spec, other].map((s) => renderForVlm(createQuestion(s, 0)).image)
  expect(Buffer.compare(a!.shownPng, b!.shownPng)).toBe(0)
  expect(Buffer.compare(a!.png, b!.png)).not.toBe(0)
})

test('a crop of the right cell is shown in full and holds the digit as a chequered shape', () => {
  const spec = zoomSpec()
  const cell = spec.cells[0]!
  const crop = shownToVlm(cropToBox(drawForVlm(createQuestion(spec, 0)), cellBox(spec, cell)))
  expect([crop.width, crop.height]).toEqual([512, 512])
  const corner = hiddenDigitCorner(spec, cell)
  const [left, top] = [corner.x * 16 - cell.column * 512, corner.y * 16 - cell.row * 512]
  for (const i of range(35)) {
    const [gx, gy] = [i % 5, Math.floor(i / 5)]
    const greys = new Set(
      range(256).map((p) => crop.data[3 * ((top + gy * 16 + (p >> 4)) * 512 + left + (gx + 1) * 16 + (p & 15))]),
    )
    expect(greys.size).toBe(isInk(cell.digit, gx, gy) ? 2 : 1)
  }
})

test("what a big model cannot know is in the wording: the marker's pattern, the catalogue of icons", () => {
  const text = (spec: Spec) =>
    (renderForVlm(createQuestion(spec, 0)).messages[1]!.content as readonly { text?: string }[])[1]!.text!
  expect(text(zoomSpec())).toMatch(/(\n[#.]{4}){4}$/)
  expect(text(generateSpec('search', 'test', 0)).match(/e\d+(\n[#.]{8}){8}/g)).toHaveLength(32)
  expect(text(generateSpec('image_search', 'test', 0))).not.toMatch(/[#.]{8}/)
})
