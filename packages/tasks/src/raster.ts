/**
 * The suite's own rasteriser: a 128 x 128 grey canvas, 5 x 7 digits, 4 x 4 markers, 8 x 8 icons. No system font, identical bytes everywhere.
 *
 * The model sees the canvas box-filtered by 4. `hiddenDigit` draws ink so that every aligned 4 x 4 block keeps its mean: that view shows
 * exactly nothing of the digit, a crop at full resolution shows all of it.
 */
import { createRandom, type KeyPart } from './random.ts'

export const canvasSize = 128
/** Grey of the empty canvas: half-way, so that hidden ink may go up and down. */
export const background = 96
const ink = 230
const hiddenContrast = 90

const glyphRows: readonly (readonly string[])[] = [
  ['.###.', '#...#', '#..##', '#.#.#', '##..#', '#...#', '.###.'],
  ['..#..', '.##..', '..#..', '..#..', '..#..', '..#..', '.###.'],
  ['.###.', '#...#', '....#', '..##.', '.#...', '#....', '#####'],
  ['.###.', '#...#', '....#', '..##.', '....#', '#...#', '.###.'],
  ['...#.', '..##.', '.#.#.', '#..#.', '#####', '...#.', '...#.'],
  ['#####', '#....', '####.', '....#', '....#', '#...#', '.###.'],
  ['..##.', '.#...', '#....', '####.', '#...#', '#...#', '.###.'],
  ['#####', '....#', '...#.', '..#..', '.#...', '.#...', '.#...'],
  ['.###.', '#...#', '#...#', '.###.', '#...#', '#...#', '.###.'],
  ['.###.', '#...#', '#...#', '.####', '....#', '...#.', '.##..'],
]

/** 4 x 4 markers, 16 bits row-major: any two differ in at least 6 of 16 places (a test checks it). */
export const markerBits: readonly number[] = [0xf00f, 0x9669, 0x0ff0, 0x6996, 0xcc33, 0xaaaa, 0x33cc, 0xff00]

export type Canvas = Uint8Array

export function createCanvas(): Canvas {
  return new Uint8Array(canvasSize * canvasSize).fill(background)
}

function block(canvas: Canvas, x: number, y: number, size: number, value: number): void {
  for (let dy = 0; dy < size; dy++) canvas.fill(value, (y + dy) * canvasSize + x, (y + dy) * canvasSize + x + size)
}

/** Whether pixel (x, y) of the 5 x 7 glyph of a digit is inked. */
export function isInk(digit: number, x: number, y: number): boolean {
  return glyphRows[digit]?.[y]?.[x] === '#'
}

/** A digit with pixels of `scale` x `scale`, top-left corner at (x, y). */
export function drawDigit(canvas: Canvas, digit: number, x: number, y: number, scale: number): void {
  for (let gy = 0; gy < 7; gy++)
    for (let gx = 0; gx < 5; gx++) if (isInk(digit, gx, gy)) block(canvas, x + gx * scale, y + gy * scale, scale, ink)
}

/** A 1-bit pattern of side `side` (bits row-major, most significant first), each bit `scale` pixels wide. */
export function drawBits(
  canvas: Canvas,
  bits: (index: number) => boolean,
  side: number,
  x: number,
  y: number,
  scale: number,
): void {
  for (let i = 0; i < side * side; i++)
    block(canvas, x + (i % side) * scale, y + Math.floor(i / side) * scale, scale, bits(i) ? ink : 16)
}

export function drawMarker(canvas: Canvas, marker: number, x: number, y: number): void {
  drawBits(canvas, (i) => ((markerBits[marker]! >> (15 - i)) & 1) === 1, 4, x, y, 4)
}

/** 64 bits (row-major) of an entity's icon, the same in every episode. */
export function iconBits(entity: number): boolean[] {
  const random = createRandom('icon', entity)
  return Array.from({ length: 64 }, () => random.uniform() < 0.5)
}

/** A digit in the 8 x 8 pixels at (x, y), multiples of 4, that vanishes in the 4x box-filtered view. */
export function drawHiddenDigit(canvas: Canvas, digit: number, x: number, y: number): void {
  for (let by = 0; by < 8; by += 4) {
    for (let bx = 0; bx < 8; bx += 4) {
      const cells = Array.from({ length: 16 }, (_, i) => ({ px: bx + (i & 3), py: by + (i >> 2) }))
      const inked = cells.map(({ px, py }) => isInk(digit, px - 1, py))
      const count = inked.filter(Boolean).length
      // up by `rise` in `count` places, down by `fall` in the others, rise * count = fall * (16 - count)
      const rise = count === 0 ? 0 : Math.min(hiddenContrast, (background * (16 - count)) / count)
      const fall = (rise * count) / (16 - count)
      for (const [i, { px, py }] of cells.entries())
        canvas[(y + py) * canvasSize + x + px] = Math.round(background + (inked[i] ? rise : -fall))
    }
  }
}

/** Adds Gaussian noise of standard deviation `sigma` (fraction of full scale), keyed, and clamps. */
export function addNoise(canvas: Canvas, sigma: number, ...key: readonly KeyPart[]): void {
  const random = createRandom('noise', ...key)
  const clamp = (v: number) => Math.max(0, Math.min(255, Math.round(v)))
  // Box-Muller gives two independent normals a draw
  for (let i = 0; i < canvas.length; i += 2) {
    const radius = sigma * 255 * Math.sqrt(-2 * Math.log(1 - random.uniform()))
    const angle = 2 * Math.PI * random.uniform()
    canvas[i] = clamp(canvas[i]! + radius * Math.cos(angle))
    canvas[i + 1] = clamp(canvas[i + 1]! + radius * Math.sin(angle))
  }
}

/** Grey to 8-bit RGB. */
export function toRgb(canvas: Canvas): { width: number; height: number; data: Uint8Array } {
  const data = new Uint8Array(canvas.length * 3)
  for (let i = 0; i < canvas.length; i++) {
    const grey = canvas[i]!
    data[3 * i] = grey
    data[3 * i + 1] = grey
    data[3 * i + 2] = grey
  }
  return { width: canvasSize, height: canvasSize, data }
}
