/** The nano model on a WebGPU device (a software driver will do): it agrees with the CPU within rounding, and only replays. Bits: sampler-trainer.test.ts. */
import { createCpuExecutor, type Executor } from '@axpo/kernels'
import { afterAll, describe, expect, it } from 'vitest'
import { webGpuBackend } from './backends.fixture.ts'
import { loadConfig } from './config.ts'
import { randomImage } from './model.fixture.ts'
import { createModel, type Model } from './model.ts'
import { nanoDirectory } from './nano.ts'
import { loadProcessorConfig } from './processor.ts'

const webgpu = await webGpuBackend('model/webgpu')
const none = webgpu.missing !== null

const capacities = {
  train: { tokens: 96, imageTokens: 32, selections: 96, spans: 1024 },
  sample: { stepTokens: 48, sequences: 8, stepSpans: 1024, kvRows: 256, featureRows: 64, encodeTokens: 32 },
}
const LEARNING_RATE = 1e-3

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))
const difference = (a: Float32Array, b: Float32Array) => a.map((x, i) => x - b[i]!)

describe.skipIf(none)('nano on WebGPU', async () => {
  if (none) return
  const config = await loadConfig(nanoDirectory)
  const processor = await loadProcessorConfig(nanoDirectory)
  const executors: Executor[] = [await webgpu.open(), await createCpuExecutor()]
  const [gpu, cpu] = executors.map((executor) => {
    const model = createModel({ config, processor, executor, capacities })
    model.initialise(3)
    return model
  }) as [Model, Model]
  afterAll(() => Promise.all(executors.map((executor) => executor.close())))

  const image = randomImage(32, 32, 1)
  const pads = new Array<number>(16).fill(config.imageTokenId)
  const look = [5, 6, config.visionStartTokenId, ...pads, config.visionEndTokenId, 7]
  const prompts = [
    { tokens: Int32Array.from([...look, 8]), images: [image] },
    { tokens: Int32Array.from([...look, 9]), images: [image] },
    { tokens: Int32Array.of(20, 21, 22), images: [] },
  ]

  async function rollouts(model = gpu) {
    const results = await Promise.all(
      [0, 0, 1, 2].map(async (which, n) => {
        const prompt = prompts[which]!
        const key = { seed: 1, step: 0, question: which, sample: n }
        const result = await model.sampler.sample({ ...prompt, maxTokens: 4, stopTokens: [], temperature: 1, key })
        return { prompt, result }
      }),
    )
    return results.map(({ prompt, result }) => ({
      tokens: Int32Array.from([...prompt.tokens, ...result.tokens]),
      images: prompt.images,
      selected: new Uint8Array(prompt.tokens.length + result.tokens.length).fill(1, prompt.tokens.length),
    }))
  }

  it('three learner steps go as on the CPU', async () => {
    const sequences = await rollouts()
    const gradients = sequences.map(({ tokens }, i) => new Float32Array(tokens.length).fill(i % 2 ? 0.1 : -0.2))
    const started = await cpu.parameters()
    for (let step = 0; step < 3; step++) {
      const [got, want] = await Promise.all(
        [gpu, cpu].map(async ({ learner }) => {
          const scores = await learner.backward(learner.pack(sequences), gradients)
          const flat = await learner.gradients()
          return { scores, flat, ...(await learner.step(LEARNING_RATE)) }
        }),
      )
      for (const [i, row] of want!.scores.logprobs.entries())
        for (const [t, value] of row.entries()) expect(got!.scores.logprobs[i]![t]).toBeCloseTo(value, 3)
      expect(norm(difference(got!.flat, want!.flat)) / norm(want!.flat)).toBeLessThan(1e-3)
      expect(got!.gradientNorm / want!.gradientNorm).toBeCloseTo(1, 3)
    }
    const [a, b] = [await gpu.parameters(), await cpu.parameters()]
    // AdamW moves a weight by about the learning rate whatever its gradient: rounding decides the way of those near zero
    expect(norm(difference(a, b)) / norm(difference(b, started))).toBeLessThan(0.02)
    expect(difference(a, b).every((x) => Math.abs(x) < 6 * LEARNING_RATE)).toBe(true)
  })

  it.each([gpu, cpu].map((model, i) => ({ model, executor: executors[i]! })))(
    'on $executor.kind a later rollout and learner step only replay: nothing allocated or bound, reads between runs only',
    async ({ model, executor }) => {
      const { learner, sampler } = model
      const sequences = await rollouts(model)
      const gradients = sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(0.1))
      const step = async () => {
        await learner.backward(learner.pack(sequences), gradients)
        await learner.step(0)
      }
      const counted = async (work: () => Promise<unknown>) => {
        const [before, steps] = [executor.counters(), sampler.statistics.steps]
        await work()
        const after = executor.counters()
        expect(after.allocations).toBe(before.allocations)
        expect(after.bindings).toBe(before.bindings)
        expect(after.starts - before.starts).toBe(after.runs - before.runs)
        return { steps: sampler.statistics.steps - steps, reads: after.readBacks - before.readBacks }
      }
      await step()
      const [sampled, learned] = [await counted(() => rollouts(model)), await counted(step)]
      // ids and scores of a step, scores and norm of a step: one wait each where reads share it
      expect(sampled.reads).toBeLessThanOrEqual(sampled.steps * (executor.kind === 'webgpu' ? 1 : 2))
      expect(learned.reads).toBe(2)
    },
  )
})
