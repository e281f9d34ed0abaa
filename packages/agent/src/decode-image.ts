/** PNG and JPEG files to 8-bit RGB pixels; transparency is laid on white. Not here: other formats (a clear error), resizing. */
import { decode as decodePng } from 'fast-png'
import { decode as decodeJpeg } from 'jpeg-js'
import type { RawImage } from './tool.ts'

/** Above this an image is refused before it is decoded. */
const maxPixels = 64_000_000

const startsWith = (bytes: Uint8Array, magic: readonly number[]) => magic.every((b, i) => bytes[i] === b)

/** Channels 1 (grey), 2 (grey, alpha), 3 (RGB), 4 (RGBA); `full` is the value of white. */
function toRgb(source: ArrayLike<number>, width: number, height: number, channels: number, full: number): Uint8Array {
  const data = new Uint8Array(width * height * 3)
  const alphaAt = channels === 2 || channels === 4 ? channels - 1 : -1
  for (let p = 0; p < width * height; p++) {
    const alpha = alphaAt < 0 ? 1 : source[p * channels + alphaAt]! / full
    for (let c = 0; c < 3; c++) {
      const value = source[p * channels + (channels < 3 ? 0 : c)]! / full
      data[p * 3 + c] = Math.round(255 * (value * alpha + 1 - alpha))
    }
  }
  return data
}

/** Palette entries are RGB or RGBA; indices may be packed, several a byte, rows starting at a byte. */
function indexedToRgb(png: ReturnType<typeof decodePng>): Uint8Array {
  const { width, height, depth, data, palette = [] } = png
  const rowBytes = Math.ceil((width * depth) / 8)
  const pixels = new Uint8Array(width * height * 4)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      const index = (data[y * rowBytes + (bit >> 3)]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
      const [r = 0, g = 0, b = 0, a = 255] = palette[index] ?? []
      pixels.set([r, g, b, a], (y * width + x) * 4)
    }
  return toRgb(pixels, width, height, 4, 255)
}

/** Grey of 1, 2 or 4 bits: a palette of even steps. */
function greyPalette(depth: number): [number, number, number][] {
  return Array.from({ length: 2 ** depth }, (_, i) => {
    const value = Math.round((255 * i) / (2 ** depth - 1))
    return [value, value, value]
  })
}

function pngSize(bytes: Uint8Array): { readonly width: number; readonly height: number } {
  if (bytes.length < 24)
    throw new Error('decodeImage: a PNG must have a header, got a file that ends before. Save it again.')
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { width: view.getUint32(16), height: view.getUint32(20) }
}

function fromPng(bytes: Uint8Array): RawImage {
  const size = pngSize(bytes)
  if (size.width * size.height > maxPixels)
    throw new Error(`decodeImage: at most ${maxPixels} pixels, got ${size.width} x ${size.height}. Make it smaller.`)
  const png = decodePng(bytes)
  const { width, height, depth, channels, data, palette } = png
  if (palette || depth < 8) {
    const indexed = palette ? png : { ...png, palette: greyPalette(depth) }
    return { width, height, data: indexedToRgb(indexed) }
  }
  return { width, height, data: toRgb(data, width, height, channels, depth === 16 ? 65535 : 255) }
}

/** Throws `decodeImage: …` for what is no PNG or JPEG, or a broken one. */
export function decodeImage(bytes: Uint8Array): RawImage {
  if (startsWith(bytes, [0x89, 0x50, 0x4e, 0x47])) return fromPng(bytes)
  if (startsWith(bytes, [0xff, 0xd8, 0xff])) {
    const { width, height, data } = decodeJpeg(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      maxResolutionInMP: maxPixels / 1e6,
    })
    return { width, height, data }
  }
  const start = [...bytes.subarray(0, 4)].map((b) => b.toString(16).padStart(2, '0')).join(' ')
  throw new Error(
    `decodeImage: an image must be PNG or JPEG, got ${bytes.length} bytes that begin with ${start || 'nothing'}. Convert it.`,
  )
}
