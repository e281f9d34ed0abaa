import { encode } from 'fast-png'
import { encode as encodeJpeg } from 'jpeg-js'
import { expect, test } from 'vitest'
import { decodeImage } from './index.ts'

const rgb = (bytes: Uint8Array) => [...decodeImage(bytes).data]

test.each([
  ['grey', 1, 8, [0, 255], [0, 0, 0, 255, 255, 255]],
  ['grey of 16 bits', 1, 16, [0, 65535], [0, 0, 0, 255, 255, 255]],
  ['grey with alpha, on white', 2, 8, [0, 0, 100, 255], [255, 255, 255, 100, 100, 100]],
  ['RGB', 3, 8, [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]],
  ['RGBA, on white', 4, 8, [9, 8, 7, 255, 0, 0, 0, 51], [9, 8, 7, 204, 204, 204]],
] as const)('PNG: %s', (_, channels, depth, values, wanted) => {
  const data = depth === 16 ? Uint16Array.from(values) : Uint8Array.from(values)
  expect(rgb(encode({ width: 2, height: 1, channels, depth, data }))).toEqual(wanted)
})

test('PNG of two bits a pixel: a palette, and grey', () => {
  // rows of a palette red, green, blue: 0 1 2 and 2 1 0; greys 0 1 3
  const palette =
    'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAgMAAADgGo6JAAAACVBMVEX/AAAA/wAAAP8tSs2KAAAADElEQVR4nGOQYJgAAADcAKls58AjAAAAAElFTkSuQmCC'
  const [red, green, blue] = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
  ]
  expect(rgb(Buffer.from(palette, 'base64'))).toEqual([red, green, blue, blue, green, red].flat())
  const grey = 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAgAAAAB0O1PJAAAACklEQVR4nGOQAQAAHgAd5rBLVgAAAABJRU5ErkJggg=='
  expect(rgb(Buffer.from(grey, 'base64'))).toEqual([0, 0, 0, 85, 85, 85, 255, 255, 255])
})

test('JPEG', () => {
  const data = new Uint8Array(8 * 8 * 4).fill(200)
  const got = decodeImage(encodeJpeg({ width: 8, height: 8, data }, 95).data)
  expect([got.width, got.height]).toEqual([8, 8])
  for (const v of got.data) expect(Math.abs(v - 200)).toBeLessThan(4)
})

test('what cannot be decoded says what could', () => {
  expect(() => decodeImage(Buffer.from('GIF89a'))).toThrow(
    'decodeImage: an image must be PNG or JPEG, got 6 bytes that begin with 47 49 46 38. Convert it.',
  )
  expect(() => decodeImage(new Uint8Array(0))).toThrow('got 0 bytes that begin with nothing')
  const huge = Buffer.from(encode({ width: 1, height: 1, channels: 1, data: new Uint8Array(1) }))
  huge.writeUInt32BE(100_000, 16)
  huge.writeUInt32BE(100_000, 20)
  expect(() => decodeImage(huge)).toThrow('decodeImage: at most 64000000 pixels, got 100000 x 100000. Make it smaller.')
  expect(() => decodeImage(huge.subarray(0, 10))).toThrow('got a file that ends before')
})
