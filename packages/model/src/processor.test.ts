import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type ProcessorConfig, patchOfRow, processImage, resizeImage, roundHalfEven, smartResize } from './processor.ts'

const golden: [number, number, number, number][] = [
  [32, 32, 256, 256],
  [75, 100, 224, 320],
  [240, 320, 256, 320],
  [480, 640, 480, 640],
  [720, 1280, 704, 1280],
  [768, 1024, 768, 1024],
  [1080, 1920, 1088, 1920],
  [1000, 1333, 992, 1344],
  [80, 3000, 64, 3008],
  [48, 2000, 64, 1984],
  [3024, 4032, 3008, 4032],
  [4100, 4100, 4096, 4096],
  [6000, 8000, 3520, 4704],
  [10, 2000, 32, 3648],
]

const nano: ProcessorConfig = {
  minPixels: 1024,
  maxPixels: 1024,
  patchSize: 4,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
  resample: 4,
}

function ramp(width: number, height: number) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255)
  return { width, height, data }
}

describe('processor', () => {
  it('rounds half to even', () => {
    expect([0.5, 1.5, 2.5, 22.5, 22.51, 3].map(roundHalfEven)).toEqual([0, 2, 2, 22, 23, 3])
  })

  it.each(golden)('smart resize of %ix%i is %ix%i', (height, width, toHeight, toWidth) => {
    expect(smartResize(height, width, 32, 65536, 16777216)).toEqual({ height: toHeight, width: toWidth })
  })

  it('refuses an extreme aspect ratio', () => {
    expect(() => smartResize(1, 300, 32, 65536, 16777216)).toThrow(/aspect ratio must be at most 200, got 1x300/)
  })

  it('box resize by 4 is the rounded mean of 4x4, in two rounded passes', () => {
    const image = ramp(128, 128)
    const small = resizeImage(image, 32, 32, 4)
    const rowMean = (x: number, y: number) =>
      Math.floor(
        (image.data[(y * 128 + x) * 3]! +
          image.data[(y * 128 + x + 1) * 3]! +
          image.data[(y * 128 + x + 2) * 3]! +
          image.data[(y * 128 + x + 3) * 3]!) /
          4 +
          0.5,
      )
    const mean = (x: number, y: number) =>
      Math.floor([0, 1, 2, 3].reduce((s, j) => s + rowMean(x * 4, y * 4 + j), 0) / 4 + 0.5)
    for (const [x, y] of [
      [0, 0],
      [5, 7],
      [31, 31],
    ] as const)
      expect(small.data[(y * 32 + x) * 3]).toBe(mean(x, y))
  })

  // from scripts/pil-golden.py with Pillow 13.0.0
  it.each([
    [100, 75, 64, 32, 3, 'f77370b0e0625173'],
    [100, 75, 256, 192, 3, '9b99bf5de114ea58'],
    [100, 75, 320, 224, 3, '18d10c70792cffb0'],
    [33, 47, 64, 32, 3, 'f954275a931da029'],
    [128, 128, 32, 32, 4, 'b42f40388201c8c4'],
    [40, 24, 48, 32, 4, '9ffa617e3800b0b4'],
    [100, 75, 64, 32, 4, '8a4fa9310b77b987'],
  ] as const)('resizes %ix%i to %ix%i (filter %i) to the bytes of Pillow', (w, h, toWidth, toHeight, filter, hash) => {
    const { data } = resizeImage(ramp(w, h), toWidth, toHeight, filter)
    expect(createHash('sha256').update(data).digest('hex').slice(0, 16)).toBe(hash)
  })

  it('a resize to the same size keeps the bytes; a constant image stays constant', () => {
    const image = ramp(32, 32)
    expect(resizeImage(image, 32, 32, 3).data).toEqual(image.data)
    const flat = { width: 30, height: 20, data: new Uint8Array(1800).fill(77) }
    expect(new Set(resizeImage(flat, 64, 32, 3).data)).toEqual(new Set([77]))
  })

  it('puts patches in 2x2-block order, columns channel, time, y, x', () => {
    const image = ramp(32, 32)
    const { patches, gh, gw } = processImage(image, nano)
    expect([gh, gw]).toEqual([8, 8])
    expect([0, 1, 2, 3, 4, 16].map((n) => patchOfRow(n, { gh, gw }))).toEqual([
      { r: 0, c: 0 },
      { r: 0, c: 1 },
      { r: 1, c: 0 },
      { r: 1, c: 1 },
      { r: 0, c: 2 },
      { r: 2, c: 0 },
    ])
    const n = 7 // patch (1, 3)
    const column = ((2 * 2 + 1) * 4 + 3) * 4 + 2 // channel 2, frame 1, y 3, x 2
    const pixel = image.data[((4 + 3) * 32 + 12 + 2) * 3 + 2]!
    expect(patches[n * 96 + column]).toBeCloseTo((pixel - 127.5) / 127.5, 6)
    expect(patches[n * 96 + column]).toBe(patches[n * 96 + column - 16])
  })

  it('an original of 128x128 becomes a 32x32 view, a 32x32 crop stays as it is', () => {
    expect(processImage(ramp(128, 128), nano).gh).toBe(8)
    const crop = ramp(32, 32)
    const { patches } = processImage(crop, nano)
    expect(Math.round(patches[0]! * 127.5 + 127.5)).toBe(crop.data[0])
  })
})
