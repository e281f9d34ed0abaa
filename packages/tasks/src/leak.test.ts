/** Statistical leak test: a logistic probe must not read the hidden digits from the model's 32 x 32 view, and must read them from a crop. */
import { expect, test } from 'vitest'
import { hiddenDigitCorner, loadQuestion, type ZoomSpec } from './index.ts'
import { boxFilter } from './picture.ts'

interface Sample {
  readonly features: readonly number[]
  readonly digit: number
}

/** Accuracy, on `tests`, of multinomial logistic regression fitted to `samples` by full-batch gradient descent on standardised features. */
function probeAccuracy(samples: readonly Sample[], tests: readonly Sample[], steps: number): number {
  const width = samples[0]!.features.length
  const mean = new Float64Array(width)
  const deviation = new Float64Array(width)
  for (const { features } of samples) for (let j = 0; j < width; j++) mean[j]! += features[j]! / samples.length
  for (const { features } of samples)
    for (let j = 0; j < width; j++) deviation[j]! += (features[j]! - mean[j]!) ** 2 / samples.length
  const standardise = ({ features }: Sample) =>
    Float64Array.from(features, (v, j) => (v - mean[j]!) / Math.sqrt(deviation[j]! + 1e-9))
  const weights = Array.from({ length: 4 }, () => new Float64Array(width + 1))
  const logits = (x: Float64Array) =>
    weights.map((w) => {
      let sum = w[width]!
      for (let j = 0; j < width; j++) sum += w[j]! * x[j]!
      return sum
    })
  const inputs = samples.map(standardise)
  const rate = 2 / Math.sqrt(width)
  for (let step = 0; step < steps; step++) {
    const gradient = weights.map(() => new Float64Array(width + 1))
    for (const [i, x] of inputs.entries()) {
      const z = logits(x)
      const top = Math.max(...z)
      const total = z.reduce((sum, v) => sum + Math.exp(v - top), 0)
      for (const [k, g] of gradient.entries()) {
        const error = Math.exp(z[k]! - top) / total - (samples[i]!.digit === k ? 1 : 0)
        for (let j = 0; j < width; j++) g[j]! += error * x[j]!
        g[width]! += error
      }
    }
    for (const [k, w] of weights.entries())
      for (let j = 0; j <= width; j++) w[j]! -= (rate * gradient[k]![j]!) / samples.length
  }
  const right = tests.filter((sample) => {
    const z = logits(standardise(sample))
    return z.indexOf(Math.max(...z)) === sample.digit
  })
  return right.length / tests.length
}

const chanceBound = (n: number) => 0.25 + 3 * Math.sqrt((0.25 * 0.75) / n)
/** Grey of a square of side `side` at (x, y). */
const square = (image: { width: number; data: Uint8Array }, x: number, y: number, side: number) =>
  Array.from(
    { length: side * side },
    (_, i) => image.data[3 * ((y + Math.floor(i / side)) * image.width + x + (i % side))]!,
  )

const items = Array.from({ length: 750 }, (_, i) => {
  const question = loadQuestion('zoom', 'train', i, 0)
  return { image: question.images[0]!, view: boxFilter(question.images[0]!, 4), spec: question.spec as ZoomSpec }
})
const split = <T>(all: readonly T[]): [T[], T[]] => [
  all.slice(0, (all.length * 2) / 3),
  all.slice((all.length * 2) / 3),
]

test('no leak: a logistic probe on the whole view does not find the answer', () => {
  const samples = items.map(({ view, spec }) => ({ features: square(view, 0, 0, 32), digit: spec.answer }))
  const [fit, held] = split(samples)
  expect(probeAccuracy(fit, held, 30)).toBeLessThanOrEqual(chanceBound(held.length))
})

test("no leak: nor does one on the cell's own 8 x 8 pixels of the view; the same probe reads the crop", () => {
  const cells = items.flatMap(({ image, view, spec }) =>
    spec.cells.map((cell) => {
      const corner = hiddenDigitCorner(spec, cell)
      return {
        seen: { features: square(view, cell.column * 8, cell.row * 8, 8), digit: cell.digit },
        cropped: { features: square(image, corner.x, corner.y, 8), digit: cell.digit },
      }
    }),
  )
  const [fit, held] = split(cells)
  const accuracy = (kind: 'seen' | 'cropped') =>
    probeAccuracy(
      fit.map((c) => c[kind]),
      held.map((c) => c[kind]),
      50,
    )
  expect(accuracy('cropped')).toBeGreaterThan(0.97)
  expect(accuracy('seen')).toBeLessThanOrEqual(chanceBound(held.length))
})
