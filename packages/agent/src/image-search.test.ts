import { describe, expect, test } from 'vitest'
import {
  createImageSearchTool,
  createToolRegistry,
  type GalleryEntry,
  imageSimilarity,
  parseCall,
  type RawImage,
  rankImages,
} from './index.ts'

/** Uniform in 0..1, the same for a seed. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
const random = createRandom(7)
/** 8 x 8 bits, row-major. */
const icons = Array.from({ length: 12 }, () => Array.from({ length: 64 }, () => random() < 0.5))

interface Drawing {
  readonly side: number
  /** Pixels of a bit. */
  readonly cell: number
  readonly left: number
  readonly top: number
  readonly ground: number
  readonly off: number
  readonly on: number
  readonly noise: number
}
const upright: Drawing = { side: 128, cell: 8, left: 32, top: 32, ground: 0, off: 40, on: 220, noise: 0 }

function draw(bits: readonly boolean[], given: Partial<Drawing> = {}): RawImage {
  const { side, cell, left, top, ground, off, on, noise } = { ...upright, ...given }
  const grain = createRandom(11)
  const data = new Uint8Array(side * side * 3)
  for (let i = 0; i < side * side; i++) {
    const column = Math.floor(((i % side) - left) / cell)
    const row = Math.floor((Math.floor(i / side) - top) / cell)
    const inside = column >= 0 && column < 8 && row >= 0 && row < 8
    const grey = inside ? (bits[row * 8 + column] ? on : off) : ground
    data.fill(Math.min(255, Math.max(0, grey + (grain() - 0.5) * 2 * noise)), i * 3, i * 3 + 3)
  }
  return { width: side, height: side, data }
}

type Bits = readonly boolean[]
const place = (bits: Bits, from: (row: number, column: number) => [number, number]): Bits =>
  bits.map((_, i) => {
    const [row, column] = from(i >> 3, i & 7)
    return bits[row * 8 + column]!
  })
const quarter = (bits: Bits) => place(bits, (row, column) => [7 - column, row])
const mirror = (bits: Bits) => place(bits, (row, column) => [row, 7 - column])

const gallery: GalleryEntry[] = icons.map((bits, i) => ({ title: `e${i}`, image: draw(bits) }))
const signal = new AbortController().signal
const search = async (image: RawImage, known: readonly GalleryEntry[] | undefined = gallery) =>
  createImageSearchTool().run(
    { img_idx: 0 },
    { images: [image], documents: [], ...(known ? { gallery: known } : {}) },
    signal,
  )

const changes: Record<string, (bits: Bits) => RawImage> = {
  'as it is': (bits) => draw(bits),
  'a quarter turn': (bits) => draw(quarter(bits)),
  'half a turn': (bits) => draw(quarter(quarter(bits))),
  'three quarters': (bits) => draw(quarter(quarter(quarter(bits)))),
  mirrored: (bits) => draw(mirror(bits)),
  'mirrored and turned': (bits) => draw(quarter(mirror(bits))),
  inverted: (bits) => draw(bits.map((bit) => !bit)),
  'pale, with noise': (bits) => draw(quarter(bits), { ground: 90, off: 100, on: 150, noise: 12 }),
  'twice as large': (bits) => draw(mirror(bits), { side: 256, cell: 16, left: 64, top: 64 }),
  'filling the picture': (bits) => draw(quarter(bits), { side: 64, left: 0, top: 0 }),
  'smaller, in a corner': (bits) => draw(bits, { cell: 4, left: 8, top: 80, off: 60 }),
}

describe('finds the right one of twelve', () => {
  test.each(Object.entries(changes))('%s', async (_, change) => {
    for (const i of [0, 4, 9])
      expect(await search(change(icons[i]!))).toEqual({ status: 'ok', text: `[1] e${i}`, image: null })
  })
})

test('similarity: 1 for the same picture, below the threshold for two random icons', () => {
  expect(imageSimilarity(gallery[0]!.image, gallery[0]!.image)).toBeCloseTo(1, 6)
  for (const [i, a] of gallery.entries())
    for (const b of gallery.slice(i + 1)) expect(imageSimilarity(a.image, b.image)).toBeLessThan(0.7)
})

test('nothing close, no gallery, no contrast: says so', async () => {
  const none = { status: 'ok', text: 'No matching images were found.', image: null }
  const stranger = createRandom(99)
  expect(await search(draw(Array.from({ length: 64 }, () => stranger() < 0.5)))).toEqual(none)
  expect(await search(gallery[0]!.image, [])).toEqual(none)
  expect(
    await createImageSearchTool().run({ img_idx: 0 }, { images: [gallery[0]!.image], documents: [] }, signal),
  ).toEqual(none)
  expect(await search(draw([], { on: 7, off: 7, ground: 7 }))).toEqual(none)
})

test('several results: best first, no more than asked for', () => {
  const known = [{ title: 'pale', image: changes['pale, with noise']!(icons[3]!) }, ...gallery]
  const titles = (results: number) =>
    rankImages(gallery[3]!.image, known, { results, threshold: 0.7 }).map(({ title }) => title)
  expect(titles(5)).toEqual(['e3', 'pale'])
  expect(titles(1)).toEqual(['e3'])
})

test('bad calls are observations; bad options throw', async () => {
  const registry = createToolRegistry([createImageSearchTool()])
  const call = async (args: string) => {
    const parsed = parseCall(`{"name": "image_search", "arguments": ${args}}`)
    const { status, text } = await registry.call(parsed, ['image_search'], {
      images: [gallery[0]!.image],
      documents: [],
      gallery,
    })
    return [status, text]
  }
  expect(await call('{"img_idx": 0}')).toEqual(['ok', '[1] e0'])
  expect(await call('{"img_idx": 1}')).toEqual(['failed', 'Error: image_search failed: img_idx must be 0 to 0, got 1'])
  const bad = 'Error: bad arguments for image_search: '
  expect(await call('{"img_idx": -1}')).toEqual(['bad-arguments', `${bad}/img_idx must be >= 0`])
  expect(await call('{"img_idx": 0.5}')).toEqual(['bad-arguments', `${bad}/img_idx must be integer`])
  expect(await call('{}')).toEqual(['bad-arguments', `${bad}/ must have required property 'img_idx'`])
  expect(await call('{"img_idx": 0, "x": 1}')).toEqual(['bad-arguments', `${bad}/ must NOT have additional properties`])
  expect(() => createImageSearchTool({ results: 0 })).toThrow('results must be a positive integer, got 0')
  expect(() => createImageSearchTool({ threshold: 2 })).toThrow('threshold must be above 0 and at most 1, got 2')
})
