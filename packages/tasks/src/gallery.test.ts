import { decode } from 'fast-png'
import { expect, test } from 'vitest'
import { wrapText } from './contact-sheet.ts'
import {
  type AnyFamily,
  families,
  heldOutFamilies,
  loadQuestion,
  renderContactSheet,
  renderGallery,
  rightCalls,
} from './index.ts'
import { boxFilter, cropToBox, encodePng, enlarge, toDataUri } from './picture.ts'

const everyFamily: readonly AnyFamily[] = [...families, ...heldOutFamilies]
const questions = everyFamily.map((family) => loadQuestion(family, 'test', 3, 0.5))

test('page: self-contained, every item with its pictures, wording, gold, calls and documents', () => {
  const html = renderGallery(questions, rightCalls)
  expect(html).not.toMatch(/<script|src="(?!data:)|href=/)
  for (const question of questions) {
    expect(html).toContain(`<h3>${question.id}</h3>`)
    expect(html).toContain(`gold ${question.gold}`)
    expect(html).toContain(toDataUri(encodePng(question.images[0]!)))
    expect(html).toContain(toDataUri(encodePng(boxFilter(question.images[0]!, 4))))
    for (const call of rightCalls(question)) expect(html).toContain(`<code>${call.name} {`)
  }
  const box = rightCalls(questions[0]!)[0]!.arguments.bbox_2d as number[]
  expect(html).toContain(toDataUri(encodePng(cropToBox(questions[0]!.images[0]!, box))))
  expect(html).toContain(`${questions[2]!.documents.length} documents`)
})

test('what an item says is escaped', () => {
  const question = { ...questions[1]!, messages: [{ role: 'user' as const, content: '<b>&"' }] }
  expect(renderGallery([question], rightCalls)).toContain('&lt;b&gt;&amp;&quot;')
})

test('contact sheet: a PNG with every card; the same bytes twice', () => {
  const png = renderContactSheet(questions.slice(0, 2), rightCalls)
  const { width, height, channels, data } = decode(png)
  expect([width, channels]).toEqual([1262, 3])
  expect(height).toBeGreaterThan(200)
  // grey pictures, white cards, grey paper, dark text
  expect(new Set(data).size).toBeGreaterThan(100)
  expect(Buffer.compare(png, renderContactSheet(questions.slice(0, 2), rightCalls))).toBe(0)
})

test('text wraps at words, cuts words that are too long, loses nothing', () => {
  expect(wrapText('one two three', 7)).toEqual(['one two', 'three'])
  expect(wrapText('abcdefghij k', 4)).toEqual(['abcd', 'efgh', 'ij k'])
  expect(wrapText('', 4)).toEqual([])
})

test('pictures: enlarge then box filter gives the picture back; crop by 0-1000; PNG round trip, grey and RGB', () => {
  const picture = questions[0]!.images[0]!
  expect(boxFilter(enlarge(picture, 3), 3)).toEqual(picture)
  const grey = { width: 3, height: 2, data: Uint8Array.from([0, 50, 100, 150, 200, 250]) }
  expect(boxFilter({ ...grey, width: 2, height: 3 }, 2).data).toEqual(Uint8Array.from([75]))
  expect(cropToBox(picture, [250, 500, 500, 1000])).toMatchObject({ width: 32, height: 64 })
  expect(() => cropToBox(picture, [500, 0, 250, 1000])).toThrow(/left < right/)
  for (const p of [picture, grey]) expect(new Uint8Array(decode(encodePng(p)).data)).toEqual(p.data)
  expect(() => encodePng({ width: 2, height: 2, data: new Uint8Array(5) })).toThrow(/1 or 3 bytes a pixel, got 5/)
})
