/**
 * The model against Hugging Face's Qwen3-VL, number for number, as one body for every back-end: activations, logits, gradients by name, prefill and decode.
 * Goldens: scripts/goldens. What is measured: the largest |difference| of a tensor over the largest |element| of its golden, not element by element, for
 * elements near 0 have no digits of their own. Logits and gradients are held element by element too, where the golden is at least a tenth of its largest.
 */
import { type Executor, Graph, logprob, planGraph, type Tensor } from '@axpo/kernels'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Backend } from './backends.fixture.ts'
import { PARAMS } from './learner.ts'
import { createModel, type Model } from './model.ts'
import {
  findPlaces,
  type GoldenCase,
  GraphProbe,
  largeElementError,
  loadGolden,
  loadGoldenJson,
  lossWeights,
  scaledError,
} from './parity.fixture.ts'

/** Times the largest element of a tensor; logits and gradients from a tenth of it up: times the element. */
const ACTIVATION = 1e-5
const LOGIT = 1e-4
const GRADIENT = 1e-3
const labels = ['nano', 'tiny-parity', 'tiny-parity-tied', 'shape-parity']
const capacities = {
  train: { tokens: 160, imageTokens: 96, selections: 160, spans: 2048 },
  sample: { stepTokens: 96, sequences: 2, stepSpans: 512, kvRows: 192, featureRows: 96, encodeTokens: 96 },
}

/** The worst error of a test and where it was. */
class Worst {
  private error = 0
  private place = ''
  private readonly title: string

  constructor(title: string) {
    this.title = title
  }

  add(place: string, error: number): void {
    if (error > this.error || Number.isNaN(error)) [this.error, this.place] = [error, place]
  }

  expectBelow(limit: number): void {
    if (process.env.AXPO_PARITY_REPORT) console.info(`${this.title}: ${this.error.toExponential(2)} at ${this.place}`)
    expect(this.error, `${this.title} at ${this.place}`).toBeLessThan(limit)
  }
}

/** Rows of a place in a sequence; the text model computes no row for the last token. */
function rowsOf(golden: GoldenCase, tensor: Tensor, name: string): number {
  const { tokens, images } = golden.json.sequences[name]!
  const patches = images.reduce((sum, i) => sum + golden.json.grids[i]![1]! * golden.json.grids[i]![2]!, 0)
  const live: Record<string, number> = { T: tokens.length - 1, S: tokens.length - 1, I: patches / 4 }
  const { symbol, count } = tensor.rows
  if (symbol === null) throw new Error(`parity: ${tensor.name} must have a live row count, got ${count}.`)
  return live[symbol]! * count
}

/** Every activation of one sequence against its golden; the worst of activations and of logits. */
async function compareActivations(golden: GoldenCase, probe: GraphProbe, name: string, title: string): Promise<void> {
  await probe.run(golden.sequence(name))
  const places = findPlaces(golden.config, probe.packed.graph)
  const activations = new Worst(`${title} activations`)
  const logits = new Worst(`${title} logits`)
  let compared = 0
  for (const key of golden.index.keys()) {
    const [owner, place] = key.split('/') as [string, string]
    if (owner !== name || place === 'decode.logits') continue
    const tensor = places.get(place)
    if (!tensor) throw new Error(`parity: no place for ${key}. Add it to findPlaces.`)
    const { data, shape } = await golden.tensor(key)
    const rows = rowsOf(golden, tensor, name)
    // heads are rows of their own in a norm's output: the golden has a token or patch a row
    const width = shape.at(-1)!
    const all = await probe.read(tensor, rows)
    const wanted: number[] = []
    const got: number[] = []
    for (let r = 0, stored = 0; r * width < all.length; r += golden.json.stride, stored++)
      for (let c = 0; c < width; c++) {
        wanted.push(data[stored * width + c]!)
        got.push(all[r * width + c]!)
      }
    ;(place === 'logits' ? logits : activations).add(key, scaledError(got, wanted))
    if (place === 'logits') logits.add(`${key}, element by element`, largeElementError(got, wanted))
    compared++
  }
  expect(compared).toBeGreaterThan(name === 'text' ? 4 : 8)
  activations.expectBelow(ACTIVATION)
  logits.expectBelow(LOGIT)
}

/** One backward pass over all sequences of the case, packed as a tree, against the sum of Hugging Face's. */
async function compareGradients(golden: GoldenCase, model: Model, run: string, title: string): Promise<void> {
  const expected = golden.json.gradients[run]!
  const names = Object.keys(expected.scores)
  const { learner } = model
  const batch = learner.pack(names.map((name) => golden.sequence(name)))
  const weights = (kind: 'logprob' | 'entropy') => names.map((name) => lossWeights(golden, name, kind))
  const before = await learner.gradients()
  const dEntropies = expected.entropy ? weights('entropy') : undefined
  const scores = await learner.backward(batch, weights('logprob'), dEntropies, expected.temperature)
  const flat = (await learner.gradients()).map((value, i) => value - before[i]!)
  const values = new Worst(`${title} log-probabilities and entropies`)
  for (const [s, name] of names.entries()) {
    values.add(`${name} logprob`, scaledError(scores.logprobs[s]!.subarray(1), expected.scores[name]!.logprob))
    values.add(`${name} entropy`, scaledError(scores.entropies[s]!.subarray(1), expected.scores[name]!.entropy))
  }
  values.expectBelow(LOGIT)
  const worst = new Worst(`${title} gradients`)
  for (const { name, rows, width, offset } of golden.list.parameters) {
    const count = rows * width
    const { norm, largest } = expected.parameters[name]!
    const { data } = await golden.tensor(`${run}/${name}`)
    const kept = Math.min(count, golden.json.gradient_limit)
    expect(data.length, name).toBe(kept)
    const own = flat.subarray(offset, offset + count)
    const got = Float32Array.from(data, (_, i) => own[Math.floor((i * count) / kept)]!)
    // the golden may hold a part of a parameter: its scale is that of the whole
    worst.add(name, scaledError(got, data, largest))
    worst.add(`${name}, element by element`, largeElementError(got, data, largest))
    const ownNorm = Math.sqrt(own.reduce((sum, x) => sum + x * x, 0))
    worst.add(`norm of ${name}`, norm === 0 ? ownNorm : Math.abs(ownNorm - norm) / norm)
  }
  worst.expectBelow(GRADIENT)
}

/** Prefill and greedy decoding with the shared KV cache; then the same tokens forced one request each, each continuing the last one's KV rows. */
async function compareDecoding(golden: GoldenCase, model: Model, name: string, title: string): Promise<void> {
  const { decode } = golden.json.sequences[name]!
  if (!decode) return
  const { tokens, images } = golden.sequence(name)
  const worst = new Worst(`${title} decoding`)
  const key = { seed: 1, step: 0, question: 0, sample: 0 }
  const greedy = await model.sampler.sample({
    tokens: tokens.slice(0, decode.prompt),
    images,
    maxTokens: decode.tokens.length,
    stopTokens: [],
    temperature: 0,
    key,
  })
  expect([...greedy.tokens]).toEqual(decode.tokens)
  worst.add('greedy logprob', scaledError(greedy.logprobs, decode.logprobs))
  worst.add('greedy entropy', scaledError(greedy.entropies, decode.entropies))
  for (let n = 0; n < decode.tokens.length; n++) {
    const context = Int32Array.from([...tokens.subarray(0, decode.prompt), ...decode.tokens.slice(0, n)])
    const one = await model.sampler.sample({
      tokens: context,
      images,
      maxTokens: 1,
      stopTokens: [],
      temperature: 0,
      key,
    })
    expect(one.tokens[0]).toBe(decode.tokens[n])
    expect(one.logprobs[0]).toBe(greedy.logprobs[n])
    expect(one.entropies[0]).toBe(greedy.entropies[n])
  }
  worst.expectBelow(LOGIT)
}

/** Log-probability and entropy of given logits: the head is the identity matrix, so the hidden rows are the logits. */
async function compareHead(executor: Executor, title: string): Promise<void> {
  const { logits, targets, temperatures } = await loadGoldenJson<{
    logits: number[][]
    targets: number[]
    /** By framework and precision: log-probabilities, entropies. */
    temperatures: Record<string, Record<string, [number[], number[]]>>
  }>('logprob.json')
  const width = logits[0]!.length
  const graph = new Graph()
  executor.allocate('identity', width * width)
  executor.writeRegion(
    'identity',
    0,
    Float32Array.from({ length: width ** 2 }, (_, i) => (i % (width + 1) ? 0 : 1)),
  )
  const hidden = graph.host('hidden', logits.length, width)
  const ids = graph.host('targets', logits.length, 1, 'i32')
  const head = graph.persistent('identity', 'identity', 0, width, width)
  // tiles of 16: the running maximum and sum are carried over twice
  const out = logprob(graph, { hidden, head, targets: ids, vocab: width, tileWidth: 16, invTemperature: 'inverse' })
  const plan = executor.load(planGraph(graph))
  plan.write(hidden, Float32Array.from(logits.flat()))
  plan.write(ids, Int32Array.from(targets))
  const worst = new Worst(`${title} log-probability and entropy`)
  for (const [temperature, frameworks] of Object.entries(temperatures)) {
    await plan.run('forward', { inverse: 1 / Number(temperature) })
    const rows = await plan.read(out)
    for (const [name, [logprobs, entropies]] of Object.entries(frameworks)) {
      const column = (c: number) => logits.map((_, r) => rows[r * 4 + c]!)
      worst.add(`${name} log-probability at ${temperature}`, scaledError(column(0), logprobs))
      worst.add(`${name} entropy at ${temperature}`, scaledError(column(1), entropies))
    }
  }
  worst.expectBelow(LOGIT)
}

/** Tests of one back-end. Its executors are made when its tests begin: a build may change what V8 makes of the others. */
export function describeParity(backend: Backend): void {
  describe.skipIf(backend.missing !== null)(`Hugging Face parity on ${backend.name}`, () => {
    it("the head's log-probability and entropy are TRL's and verl's, within 1e-4 of the largest", async () => {
      const executor = await backend.open()
      await compareHead(executor, backend.name)
      await executor.close()
    })

    it('a tensor in the wrong place is seen', async () => {
      const golden = await loadGolden('tiny-parity')
      const executor = await backend.open()
      executor.allocate(PARAMS, golden.list.elementCount)
      const swapped = golden.weights.slice()
      const at = (part: string) => golden.list.byName.get(`model.language_model.layers.1.self_attn.${part}.weight`)!
      const [k, v] = [at('k_norm'), at('q_norm')]
      swapped.set(golden.weights.subarray(v.offset, v.offset + v.width), k.offset)
      executor.writeRegion(PARAMS, 0, swapped)
      const probe = new GraphProbe(golden, executor)
      await expect(compareActivations(golden, probe, 'one', `${backend.name} swapped`)).rejects.toThrow(
        /swapped activations/,
      )
      await executor.close()
    })

    describe.each(labels)('%s', (label) => describeCase(backend, label))
  })
}

// a software GPU shares its processor with every other test
const timeout = 240_000

function describeCase(backend: Backend, label: string): void {
  let golden: GoldenCase
  let executor: Executor
  let model: Model
  beforeAll(async () => {
    golden = await loadGolden(label)
    executor = await backend.open()
    const { config, processor } = golden
    model = createModel({ config, processor, executor, capacities })
    model.setParameters(golden.weights)
  }, timeout)
  afterAll(() => executor?.close())

  it("activations within 1e-5 of their tensor's largest, logits within 1e-4 of it", { timeout }, async () => {
    const probe = new GraphProbe(golden, executor)
    for (const name of Object.keys(golden.json.sequences))
      await compareActivations(golden, probe, name, `${backend.name} ${label}/${name}`)
    probe.close()
  })

  it("gradients by name within 1e-3 of their parameter's largest, norms within 1e-3 of themselves", {
    timeout,
  }, async () => {
    const runs = Object.keys(golden.json.gradients)
    expect(runs.length).toBeGreaterThan(0)
    for (const run of runs) await compareGradients(golden, model, run, `${backend.name} ${label}, loss ${run}`)
  })

  it("prefill and decode: within 1e-4 of the sequence's largest", { timeout }, async () => {
    for (const name of Object.keys(golden.json.sequences))
      await compareDecoding(golden, model, name, `${backend.name} ${label}/${name}`)
  })
}
