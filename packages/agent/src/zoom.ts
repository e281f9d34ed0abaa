/**
 * `image_zoom_in_tool`, Qwen3-VL's schema: crops the stored original (never the model's view) to a box given in 0-1000 of each side. Boxes are clamped,
 * small ones grown around their centre and shifted inside; a box that cannot be meant gets an error that names the rule.
 */
import type { RawImage, Tool, ToolResult } from './tool.ts'

export interface ZoomOptions {
  /** Smallest side of a crop, in pixels of the original. */
  readonly minSide: number
  /** Largest ratio of the sides. */
  readonly maxAspect: number
}

export const defaultZoomOptions: ZoomOptions = { minSide: 32, maxAspect: 200 }

/** Left, top (included), right, bottom (excluded), in pixels. */
export interface PixelBox {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** [low, high) grown to at least `least` around its centre and shifted inside 0..size. */
function growInside(low: number, high: number, least: number, size: number): [number, number] {
  const length = Math.min(size, Math.max(high - low, least))
  const start = Math.round((low + high - length) / 2)
  const inside = Math.min(Math.max(0, start), size - length)
  return [inside, inside + length]
}

/** The pixels a box means, or the rule it breaks. */
export function pixelBox(
  bbox: readonly number[],
  image: Pick<RawImage, 'width' | 'height'>,
  options: ZoomOptions = defaultZoomOptions,
): PixelBox | string {
  if (bbox.length !== 4 || !bbox.every((v) => Number.isFinite(v)))
    return `bbox_2d must be four finite numbers, got [${bbox.join(', ')}]`
  const [x1, y1, x2, y2] = bbox.map((v) => Math.min(1000, Math.max(0, v))) as [number, number, number, number]
  if (x1 >= x2 || y1 >= y2)
    return `bbox_2d must be [left, top, right, bottom] with left < right and top < bottom inside 0..1000, got [${bbox.join(', ')}]`
  const px = (v: number, size: number) => Math.round((v * size) / 1000)
  const width = Math.max(1, px(x2, image.width) - px(x1, image.width))
  const height = Math.max(1, px(y2, image.height) - px(y1, image.height))
  const aspect = Math.max(width / height, height / width)
  if (aspect > options.maxAspect)
    return `the box's sides may differ by a factor of ${options.maxAspect} at most, got ${aspect.toFixed(1)}`
  const [left, right] = growInside(px(x1, image.width), px(x1, image.width) + width, options.minSide, image.width)
  const [top, bottom] = growInside(px(y1, image.height), px(y1, image.height) + height, options.minSide, image.height)
  return { left, top, right, bottom }
}

export function cropImage(image: RawImage, box: PixelBox): RawImage {
  const width = box.right - box.left
  const height = box.bottom - box.top
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const from = ((box.top + y) * image.width + box.left) * 3
    data.set(image.data.subarray(from, from + width * 3), y * width * 3)
  }
  return { width, height, data }
}

const spec: Tool['spec'] = {
  type: 'function',
  function: {
    name: 'image_zoom_in_tool',
    description:
      'Zoom in on a region of an image: crops it at full resolution. Coordinates are relative, 0 to 1000 on both axes.',
    parameters: {
      type: 'object',
      properties: {
        bbox_2d: {
          type: 'array',
          items: { type: 'number' },
          minItems: 4,
          maxItems: 4,
          description: 'left, top, right, bottom; 0 to 1000',
        },
        label: { type: 'string', description: 'what is in the region' },
        img_idx: { type: 'integer', minimum: 0, description: 'which image, counted from 0 over all images so far' },
      },
      required: ['bbox_2d', 'label', 'img_idx'],
      additionalProperties: false,
    },
  },
}

export function createZoomTool(options: ZoomOptions = defaultZoomOptions): Tool {
  const zoom = (args: Readonly<Record<string, unknown>>, images: readonly RawImage[]): ToolResult => {
    const index = args.img_idx as number
    const image = images[index]
    if (!image) return { status: 'failed', text: `img_idx must be 0 to ${images.length - 1}, got ${index}` }
    const box = pixelBox(args.bbox_2d as number[], image, options)
    return typeof box === 'string'
      ? { status: 'failed', text: box }
      : { status: 'ok', text: '', image: cropImage(image, box) }
  }
  return { spec, run: async (args, { images }) => zoom(args, images) }
}
