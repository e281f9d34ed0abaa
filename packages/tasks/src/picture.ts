/**
 * Operations on 8-bit pictures, row-major, 1 (grey) or 3 (RGB) bytes a pixel by the length of the data: box filter, crop, nearest-neighbour enlargement, PNG.
 * Not here: drawing (raster.ts), the model's own image processor (@axpo/model).
 */
import { encode } from 'fast-png'
import type { Picture } from './question.ts'

export function channelsOf({ width, height, data }: Picture): 1 | 3 {
  const channels = data.length / (width * height)
  if (channels !== 1 && channels !== 3)
    throw new Error(`picture: data must hold 1 or 3 bytes a pixel, got ${data.length} bytes for ${width} x ${height}.`)
  return channels
}

/** Mean of each aligned factor x factor block, rounded; pixels beyond the last whole block are left out. */
export function boxFilter(picture: Picture, factor: number): Picture {
  const channels = channelsOf(picture)
  const width = Math.floor(picture.width / factor)
  const height = Math.floor(picture.height / factor)
  const row = picture.width * channels
  const data = new Uint8Array(width * height * channels)
  for (let i = 0; i < data.length; i++) {
    const channel = i % channels
    const x = Math.floor(i / channels) % width
    const y = Math.floor(i / (channels * width))
    let sum = 0
    for (let dy = 0; dy < factor; dy++)
      for (let dx = 0; dx < factor; dx++)
        sum += picture.data[(y * factor + dy) * row + (x * factor + dx) * channels + channel]!
    data[i] = Math.round(sum / (factor * factor))
  }
  return { width, height, data }
}

/** Each pixel becomes a block of factor x factor. */
export function enlarge(picture: Picture, factor: number): Picture {
  const channels = channelsOf(picture)
  const width = picture.width * factor
  const height = picture.height * factor
  const row = width * channels
  const data = new Uint8Array(height * row)
  for (let y = 0; y < picture.height; y++) {
    const start = y * factor * row
    for (let i = 0; i < row; i++) {
      const x = Math.floor(i / channels / factor)
      data[start + i] = picture.data[(y * picture.width + x) * channels + (i % channels)]!
    }
    for (let copy = 1; copy < factor; copy++) data.copyWithin(start + copy * row, start, start + row)
  }
  return { width, height, data }
}

/** The pixels inside a box given in 0-1000 of each side: left, top, right, bottom. */
export function cropToBox(picture: Picture, box: readonly number[]): Picture {
  const channels = channelsOf(picture)
  const px = (i: number, size: number) => Math.round((box[i]! * size) / 1000)
  const [left, top] = [px(0, picture.width), px(1, picture.height)]
  const width = px(2, picture.width) - left
  const height = px(3, picture.height) - top
  if (!(width > 0 && height > 0 && left >= 0 && top >= 0 && left + width <= picture.width))
    throw new Error(
      `cropToBox: the box must lie in 0-1000 with left < right and top < bottom, got [${box.join(', ')}].`,
    )
  const data = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * channels
    data.set(picture.data.subarray(from, from + width * channels), y * width * channels)
  }
  return { width, height, data }
}

/** PNG file of a picture, grey or RGB as it is; compressed for speed: pictures here are small or plain. */
export function encodePng(picture: Picture): Uint8Array {
  const { width, height, data } = picture
  return encode({ width, height, data, depth: 8, channels: channelsOf(picture) }, { zlib: { level: 3 } })
}

export function toDataUri(png: Uint8Array): string {
  const pieces: string[] = []
  for (let i = 0; i < png.length; i += 4096) pieces.push(String.fromCharCode(...png.subarray(i, i + 4096)))
  return `data:image/png;base64,${btoa(pieces.join(''))}`
}
