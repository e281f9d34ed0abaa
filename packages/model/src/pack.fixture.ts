/** A processor of small patches and an image pad token, for tests of packing. */
import type { ProcessorConfig } from './processor.ts'

export const processor: ProcessorConfig = {
  minPixels: 64,
  maxPixels: 4096,
  patchSize: 4,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
  resample: 4,
}
export const PAD = 99
