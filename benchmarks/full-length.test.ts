import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCpuExecutor, type Executor } from '../packages/kernels/src/index.ts'
import type { Model } from '../packages/model/src/index.ts'
import { checkLengths, sampleToLength } from './full-length.ts'
import { createPrompt, loadWorkload, openModel, type Workload } from './workload.ts'

const TOKENS = 40
const COUNT = 32
let executor: Executor
let workload: Workload
let model: Model
beforeAll(async () => {
  workload = await loadWorkload('nano', 'cpu', { quick: true })
  executor = await createCpuExecutor({ threads: 1 })
  model = openModel(workload, executor)
})
afterAll(async () => {
  model.close()
  await executor.close()
})

const requests = () => {
  const prompt = createPrompt(workload.config, 1)
  const key = { seed: 1, step: 0, question: 0 }
  return Array.from({ length: COUNT }, (_, sample) => ({
    ...prompt,
    maxTokens: TOKENS,
    stopTokens: [],
    temperature: 1,
    key: { ...key, sample },
  }))
}

test('where the sampler ends sequences at image pads, all have the length asked for, with the log-probabilities of the learner to the bit', async () => {
  const plain = await Promise.all(requests().map((request) => model.sampler.sample(request)))
  const short = plain.filter(({ tokens }) => tokens.length < TOKENS)
  expect(short.length).toBeGreaterThan(0)
  expect(() => checkLengths(plain, TOKENS)).toThrow(`got ${short.length} of ${COUNT}`)

  const full = await Promise.all(requests().map((request) => sampleToLength(model.sampler, request)))
  checkLengths(full, TOKENS)
  const { tokens, images } = requests()[0]!
  const sequences = full.map((result) => ({
    tokens: Int32Array.from([...tokens, ...result.tokens]),
    images,
    selected: new Uint8Array(tokens.length + TOKENS).fill(1, tokens.length),
  }))
  const { logprobs, entropies } = await model.score(sequences)
  full.forEach((result, i) => {
    expect([...result.logprobs]).toEqual([...logprobs[i]!.subarray(tokens.length)])
    expect([...result.entropies]).toEqual([...entropies[i]!.subarray(tokens.length)])
    const { length } = plain[i]!.tokens
    expect([...result.tokens.subarray(0, length - 1)]).toEqual([...plain[i]!.tokens.subarray(0, length - 1)])
  })
})
