/** What the sampler does beside giving the learner's numbers (sampler-trainer.test.ts): sharing, stopping, room, refusals. */
import { createCpuExecutor, type Executor } from '@axpo/kernels'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { contexts, PAD, square, tinyConfig, tinyParameters, tinyProcessor, wide } from './model.fixture.ts'
import { createModel, type Model } from './model.ts'
import type { SampleRequest, SampleResult } from './sampler.ts'

const config = tinyConfig(true)
const train = { tokens: 96, imageTokens: 32, selections: 96, spans: 2048 }
const sample = { stepTokens: 32, sequences: 8, stepSpans: 2048, kvRows: 1024, featureRows: 64, encodeTokens: 16 }

const executors: Executor[] = []
async function create(changes: Partial<typeof sample> = {}): Promise<Model> {
  const executor = await createCpuExecutor({ threads: 1 })
  executors.push(executor)
  const capacities = { train, sample: { ...sample, ...changes } }
  const created = createModel({ config, processor: tinyProcessor, executor, capacities })
  created.setParameters(tinyParameters(config, 5))
  return created
}

let model: Model
beforeAll(async () => {
  model = await create()
})
afterAll(() => Promise.all(executors.map((executor) => executor.close())))

function request(context: number, number: number, changes: Partial<SampleRequest> = {}): SampleRequest {
  const { tokens, images } = contexts[context]!
  const key = { seed: 1, step: 2, question: context, sample: number }
  return { tokens, images, maxTokens: 9, stopTokens: [7], temperature: 1, key, ...changes }
}

/** A context with a result behind it, the result selected. */
function scored(from: SampleRequest, result: SampleResult) {
  const tokens = Int32Array.from([...from.tokens, ...result.tokens])
  const selected = new Uint8Array(tokens.length).fill(1, from.tokens.length)
  return { tokens, images: from.images, selected }
}

const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)]

describe('sampler', () => {
  it('computes a shared prompt once and reuses a finished sequence', async () => {
    const other = await create()
    const { sampler } = other
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) => sampler.sample(request(0, i, { maxTokens: 1, stopTokens: [] }))),
    )
    // 14 shared rows, then the last prompt token of each
    expect(sampler.statistics.computedTokens).toBe(contexts[0]!.tokens.length - 1 + 8)
    expect(sampler.statistics.encodedImages).toBe(1)
    const before = sampler.statistics.computedTokens
    await sampler.sample(
      request(0, 99, { tokens: Int32Array.from([...contexts[0]!.tokens, results[0]!.tokens[0]!]), maxTokens: 1 }),
    )
    expect(sampler.statistics.computedTokens - before).toBe(1)
    other.close()
  })

  it('stops after a stop token, at the length, and takes the greedy token at temperature 0', async () => {
    const long = await model.sampler.sample(request(3, 7, { stopTokens: [], maxTokens: 20 }))
    expect([long.finish, long.tokens.length]).toEqual(['length', long.tokens.at(-1) === PAD ? long.tokens.length : 20])
    const stop = long.tokens[3]!
    const cut = await model.sampler.sample(request(3, 7, { stopTokens: [stop], maxTokens: 20 }))
    expect([...cut.tokens]).toEqual([...long.tokens.subarray(0, long.tokens.indexOf(stop) + 1)])
    expect(cut.finish).toBe('stop')
    const greedy = await Promise.all([1, 2].map((n) => model.sampler.sample(request(3, n, { temperature: 0 }))))
    expect(greedy[0]!.tokens).toEqual(greedy[1]!.tokens)
  })

  it('forgets its caches when the weights change', async () => {
    const before = await model.sampler.sample(request(0, 3))
    model.setParameters(tinyParameters(config, 6))
    const after = await model.sampler.sample(request(0, 3))
    expect(after.weightVersion).toBe(before.weightVersion + 1)
    const [scores] = (await model.score([scored(request(0, 3), after)])).logprobs
    expect(bits(after.logprobs)).toEqual(bits(scores!.subarray(contexts[0]!.tokens.length)))
    model.setParameters(tinyParameters(config, 5))
  })

  it('refuses contexts it cannot take', async () => {
    const bad = (changes: Partial<SampleRequest>) => model.sampler.sample(request(0, 0, changes))
    await expect(bad({ tokens: new Int32Array(0) })).rejects.toThrow(/must not be empty/)
    await expect(bad({ images: [square] })).rejects.toThrow(/must have 4 pads.*got a run of 6/)
    await expect(bad({ images: [wide, square] })).rejects.toThrow(/2 images were given, got 1 runs/)
    await expect(bad({ tokens: Int32Array.of(99), images: [] })).rejects.toThrow(/token ids must be in 0..36, got 99/)
    await expect(bad({ maxTokens: 2000 })).rejects.toThrow(/must be at most 512/)
  })

  it('survives a KV pool much smaller than the traffic', async () => {
    const small = await create({ kvRows: 128 })
    const requests = Array.from({ length: 24 }, (_, i) => request(i % 4, i))
    const results = await Promise.all(requests.map((r) => small.sampler.sample(r)))
    const large = await Promise.all(requests.map((r) => model.sampler.sample(r)))
    results.forEach((result, i) => {
      expect([...result.tokens]).toEqual([...large[i]!.tokens])
      expect(bits(result.logprobs)).toEqual(bits(large[i]!.logprobs))
    })
    small.close()
  })
})
