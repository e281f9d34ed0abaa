/**
 * `image_search`: which pictures of the episode's gallery show what a picture shows. Deterministic: the correlation of grey values (Pearson's, so brightness and contrast do not count)
 * over 16 x 16 cells, best of the eight turns and mirror images, of the picture and its negative, and of three ways to lay the gallery picture over it. Not here: web search.
 *
 * Boxes are in units of a picture's sides: [0, 1] x [0, 1].
 */
import type { GalleryEntry, RawImage, Tool, ToolResult } from './tool.ts'

interface Box {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

const whole: Box = { left: 0, top: 0, right: 1, bottom: 1 }
const side = 16
/** A pixel belongs to the content when it differs from the border by this share of the picture's range. */
const contentShare = 0.25

/** Sums of grey values over all rectangles from the top left corner: (width + 1) x (height + 1). */
interface Sums {
  readonly width: number
  readonly height: number
  readonly values: Float64Array
}

function greySums({ width, height, data }: RawImage): Sums {
  const values = new Float64Array((width + 1) * (height + 1))
  for (let y = 0; y < height; y++) {
    let row = 0
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3
      row += 77 * data[at]! + 150 * data[at + 1]! + 29 * data[at + 2]!
      values[(y + 1) * (width + 1) + x + 1] = values[y * (width + 1) + x + 1]! + row
    }
  }
  return { width, height, values }
}

/** Whole pixels, at least one. */
function span(low: number, high: number, size: number): [number, number] {
  const from = Math.min(size - 1, Math.max(0, Math.round(low * size)))
  return [from, Math.min(size, Math.max(from + 1, Math.round(high * size)))]
}

function meanGrey({ width, height, values }: Sums, box: Box): number {
  const [left, right] = span(box.left, box.right, width)
  const [top, bottom] = span(box.top, box.bottom, height)
  const at = (x: number, y: number) => values[y * (width + 1) + x]!
  return (at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top)) / ((right - left) * (bottom - top))
}

/** `inner`, given in units of `outer`. */
function boxInside(outer: Box, inner: Box): Box {
  const width = outer.right - outer.left
  const height = outer.bottom - outer.top
  return {
    left: outer.left + inner.left * width,
    top: outer.top + inner.top * height,
    right: outer.left + inner.right * width,
    bottom: outer.top + inner.bottom * height,
  }
}

const flip = (b: Box): Box => ({ ...b, left: 1 - b.right, right: 1 - b.left })
const transpose = (b: Box): Box => ({ left: b.top, top: b.left, right: b.bottom, bottom: b.right })
const turn = (b: Box): Box => flip(transpose(b))
/** The symmetries of the square: four turns, and the four of its mirror image. */
const symmetries: readonly ((b: Box) => Box)[] = [
  (b) => b,
  turn,
  (b) => turn(turn(b)),
  (b) => turn(turn(turn(b))),
  flip,
  (b) => turn(flip(b)),
  (b) => turn(turn(flip(b))),
  (b) => turn(turn(turn(flip(b)))),
]

const cells: readonly Box[] = Array.from({ length: side * side }, (_, i) => {
  const left = (i % side) / side
  const top = Math.floor(i / side) / side
  return { left, top, right: left + 1 / side, bottom: top + 1 / side }
})

/** Zero mean, unit length; null for a picture without contrast. */
function normalise(values: Float64Array): Float64Array | null {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const centred = values.map((v) => v - mean)
  const length = Math.sqrt(centred.reduce((a, b) => a + b * b, 0))
  // values are 256 times a grey level: less than one level of contrast is none
  return length < 256 * side ? null : centred.map((v) => v / length)
}

const feature = (sums: Sums, place: (cell: Box) => Box): Float64Array | null =>
  normalise(Float64Array.from(cells, (cell) => meanGrey(sums, place(cell))))

/** The box of what stands out from the picture's border; the whole picture when nothing does. */
function contentBox(sums: Sums): Box {
  const { width, height } = sums
  const pixel = (x: number, y: number) =>
    meanGrey(sums, { left: x / width, top: y / height, right: (x + 1) / width, bottom: (y + 1) / height })
  const border: number[] = []
  for (let x = 0; x < width; x++) border.push(pixel(x, 0), pixel(x, height - 1))
  for (let y = 0; y < height; y++) border.push(pixel(0, y), pixel(width - 1, y))
  const ground = border.sort((a, b) => a - b)[border.length >> 1]!
  let range = 0
  const grey = Float64Array.from({ length: width * height }, (_, i) => {
    const distance = Math.abs(pixel(i % width, Math.floor(i / width)) - ground)
    range = Math.max(range, distance)
    return distance
  })
  let [left, top, right, bottom] = [width, height, 0, 0]
  for (const [i, distance] of grey.entries()) {
    if (distance < contentShare * range || range === 0) continue
    const x = i % width
    const y = Math.floor(i / width)
    left = Math.min(left, x)
    top = Math.min(top, y)
    right = Math.max(right, x + 1)
    bottom = Math.max(bottom, y + 1)
  }
  if (right <= left) return whole
  return { left: left / width, top: top / height, right: right / width, bottom: bottom / height }
}

interface Prepared {
  readonly sums: Sums
  readonly content: Box
  /** By place: a gallery's pictures ask for the same ones, and the rollouts of a question for the same picture. */
  readonly features: Map<string, Float64Array | null>
}

const prepared = new WeakMap<RawImage, Prepared>()

function prepare(image: RawImage): Prepared {
  let known = prepared.get(image)
  if (!known) {
    const sums = greySums(image)
    known = { sums, content: contentBox(sums), features: new Map() }
    prepared.set(image, known)
  }
  return known
}

function featureAt({ sums, features }: Prepared, name: string, place: (cell: Box) => Box): Float64Array | null {
  let known = features.get(name)
  if (known === undefined) {
    known = feature(sums, place)
    features.set(name, known)
  }
  return known
}

/**
 * 0 to 1: how well the content of `known` (the gallery's picture) is found in `image`, in the same place of the picture, as the content of `image`, or as all of it; whatever way it is
 * turned, mirrored or inverted.
 */
export function imageSimilarity(image: RawImage, known: RawImage): number {
  const seen = prepare(image)
  const corpus = prepare(known)
  const wanted = featureAt(corpus, 'content', (cell) => boxInside(corpus.content, cell))
  if (!wanted) return 0
  const { left, top, right, bottom } = corpus.content
  let best = 0
  for (const [number, symmetry] of symmetries.entries()) {
    const places: [string, (cell: Box) => Box][] = [
      [`${number} ${left} ${top} ${right} ${bottom}`, (cell) => symmetry(boxInside(corpus.content, cell))],
      [`${number} content`, (cell) => boxInside(seen.content, symmetry(cell))],
      [`${number} whole`, symmetry],
    ]
    for (const [name, place] of places) {
      const values = featureAt(seen, name, place)
      if (values) best = Math.max(best, Math.abs(values.reduce((total, v, i) => total + v * wanted[i]!, 0)))
    }
  }
  return Math.min(1, best)
}

export interface ImageSearchOptions {
  /** Titles an observation shows at most. */
  readonly results: number
  /** Similarity that a match has at least. Two random icons of 8 x 8 bits stay below 0.6. */
  readonly threshold: number
}

export const defaultImageSearchOptions: ImageSearchOptions = { results: 1, threshold: 0.7 }

/** Matches, best first, ties in the gallery's order. */
export function rankImages(
  image: RawImage,
  gallery: readonly GalleryEntry[],
  { results, threshold }: ImageSearchOptions = defaultImageSearchOptions,
): GalleryEntry[] {
  return gallery
    .map((entry) => ({ entry, similarity: imageSimilarity(image, entry.image) }))
    .filter(({ similarity }) => similarity >= threshold)
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, results)
    .map(({ entry }) => entry)
}

const spec: Tool['spec'] = {
  type: 'function',
  function: {
    name: 'image_search',
    description: 'Find known images that show the same as one of the images so far. Returns their titles.',
    parameters: {
      type: 'object',
      properties: {
        img_idx: { type: 'integer', minimum: 0, description: 'which image, counted from 0 over all images so far' },
      },
      required: ['img_idx'],
      additionalProperties: false,
    },
  },
}

export function createImageSearchTool(given: Partial<ImageSearchOptions> = {}): Tool {
  const options = { ...defaultImageSearchOptions, ...given }
  if (!Number.isInteger(options.results) || options.results < 1)
    throw new Error(`createImageSearchTool: results must be a positive integer, got ${options.results}.`)
  if (!(options.threshold > 0 && options.threshold <= 1))
    throw new Error(`createImageSearchTool: threshold must be above 0 and at most 1, got ${options.threshold}.`)
  const search = (index: number, images: readonly RawImage[], gallery: readonly GalleryEntry[]): ToolResult => {
    const image = images[index]
    if (!image) return { status: 'failed', text: `img_idx must be 0 to ${images.length - 1}, got ${index}` }
    const titles = rankImages(image, gallery, options).map(({ title }, i) => `[${i + 1}] ${title}`)
    return { status: 'ok', text: titles.join('\n') || 'No matching images were found.', image: null }
  }
  return { spec, run: async (args, { images, gallery }) => search(args.img_idx as number, images, gallery ?? []) }
}
