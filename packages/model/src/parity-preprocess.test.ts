/**
 * Image processor, positions and checkpoints against Hugging Face's, and the golden files against their manifest. Exact: target sizes, Pillow's
 * bytes (horizontal pass first), the fast processor's f32 values on the same bytes, position ids. The fast processor's own resize has 15-bit
 * weights: at most one level apart on at most 1 % of the samples.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { loadParameters } from './checkpoint.ts'
import { loadConfig } from './config.ts'
import {
  goldenDirectory,
  type ImageSpec,
  loadGolden,
  loadGoldenJson,
  sha256,
  syntheticImage,
} from './parity.fixture.ts'
import { findImageRuns, planPositions, rotaryFrequencies } from './positions.ts'
import { checkProcessorConfig, imageGrid, processImage, resizeImage, smartResize } from './processor.ts'
import { decodeBf16, encodeBf16, loadTensor, loadTensorIndex } from './safetensors.ts'

interface ImageGolden {
  readonly image: ImageSpec
  readonly processor: string
  readonly input: string
  readonly resized: string
  readonly size: [number, number]
  readonly grid: [number, number, number]
  /** Of the fast processor's values; absent where it has no such filter. */
  readonly patches?: string
}

const golden = await loadGoldenJson<{
  processors: Record<string, Record<string, unknown>>
  images: ImageGolden[]
  smart_resize: [number, number, number, number][]
}>('preprocess.json')
const tensors = await loadTensorIndex(`${goldenDirectory}preprocess.safetensors`)

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let largest = 0
  for (let i = 0; i < b.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!))
  return largest
}

const labels = ['nano', 'tiny-parity', 'tiny-parity-tied', 'shape-parity']

describe('golden files', () => {
  it('are those of the manifest', async () => {
    const { files } = await loadGoldenJson<{ files: Record<string, { sha256: string }> }>('manifest.json')
    const found = (await readdir(goldenDirectory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`.replace(goldenDirectory, '').replace(/^\//, ''))
    expect(found.sort()).toEqual([...Object.keys(files), 'manifest.json'].sort())
    for (const [name, { sha256: expected }] of Object.entries(files))
      expect(
        createHash('sha256')
          .update(await readFile(`${goldenDirectory}${name}`))
          .digest('hex'),
        name,
      ).toBe(expected)
  })

  it.each(labels)("%s: weights and pixels are Python's", async (label) => {
    const { json, list, weights, processor } = await loadGolden(label)
    const whole = createHash('sha256')
    for (const { offset, rows, width } of [...list.parameters].sort((a, b) => (a.name < b.name ? -1 : 1)))
      whole.update(new Uint8Array(weights.buffer, offset * 4, rows * width * 4))
    expect(whole.digest('hex')).toBe(json.weights_sha256)
    for (const [i, spec] of json.images.entries()) {
      const processed = processImage(syntheticImage(spec).image, processor)
      expect([1, processed.gh, processed.gw]).toEqual(json.grids[i])
      expect(sha256(processed.patches)).toBe(json.pixels_sha256[i])
    }
  })
})

describe('image processor parity', () => {
  it.each(golden.smart_resize)('%ix%i becomes %ix%i', (height, width, toHeight, toWidth) => {
    expect(smartResize(height, width, 32, 65536, 16777216)).toEqual({ height: toHeight, width: toWidth })
  })

  it.each(golden.images)('$image.0 $image.2x$image.3 ($processor)', async (entry) => {
    const processor = checkProcessorConfig(golden.processors[entry.processor]!)
    const { image } = syntheticImage(entry.image)
    expect(sha256(image.data)).toBe(entry.input)
    const [height, width] = entry.size
    const resized = resizeImage(image, width, height, processor.resample)
    expect(sha256(resized.data), 'Pillow').toBe(entry.resized)
    expect([1, imageGrid(image, processor).gh, imageGrid(image, processor).gw]).toEqual(entry.grid)
    const { patches } = processImage(image, processor)
    if (entry.patches) expect(sha256(patches), 'fast processor').toBe(entry.patches)
    const name = `${entry.image[0]} ${entry.image[1]}`
    const slow = tensors.get(`${name} patches`)
    // the slow processor rescales first: rounding of one f32 more
    if (slow) expect(largestDifference(patches, await loadTensor(name, slow))).toBeLessThan(6.1e-8)
    const fast = tensors.get(`${name} fast`)
    if (fast) {
      const bytes = await loadTensor(name, fast)
      expect(largestDifference(resized.data, bytes)).toBeLessThanOrEqual(1)
      expect(bytes.filter((value, i) => value !== resized.data[i]).length / bytes.length).toBeLessThan(0.01)
    }
  })
})

describe('position ids', () => {
  it.each(labels)('%s: as get_rope_index gives them', async (label) => {
    const { json, config } = await loadGolden(label)
    for (const [name, { tokens, images, positions, rope_delta }] of Object.entries(json.sequences)) {
      const grids = images.map((i) => ({ gh: json.grids[i]![1]!, gw: json.grids[i]![2]! }))
      const own = planPositions(tokens.length, findImageRuns(tokens, config.imageTokenId, grids))
      const axis = (a: number) => tokens.map((_, t) => own.positions[t * 3 + a]!)
      expect([axis(0), axis(1), axis(2)], name).toEqual(positions)
      expect(own.next - tokens.length, name).toBe(rope_delta)
    }
  })
})

describe('rotary frequencies', () => {
  it.each(labels)(
    '%s: the same f32 numbers, but for the last place of one that torch rounds otherwise',
    async (label) => {
      const { json, config } = await loadGolden(label)
      const { text, vision } = json.frequencies
      for (const [got, want] of [
        [rotaryFrequencies(config.text.ropeTheta, text.length), text],
        [rotaryFrequencies(10000, vision.length), vision],
      ] as const) {
        const apart = want.filter((value, j) => Math.fround(value) !== got[j])
        expect(apart.length).toBeLessThanOrEqual(1)
        for (const [j, value] of want.entries()) expect(Math.abs(got[j]! / value - 1)).toBeLessThan(1.2e-7)
      }
    },
  )
})

describe('checkpoints written by save_pretrained', () => {
  it('three shards with an index, f32', async () => {
    const { weights } = await loadGolden('tiny-parity')
    const directory = `${goldenDirectory}checkpoint-shards`
    expect(await loadParameters(await loadConfig(directory), directory)).toEqual(weights)
  })

  it('one file, bf16', async () => {
    const { weights } = await loadGolden('tiny-parity')
    const directory = `${goldenDirectory}checkpoint-bf16`
    const loaded = await loadParameters(await loadConfig(directory), directory)
    expect(loaded).toEqual(decodeBf16(encodeBf16(weights)))
  })
})
