import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCpuExecutor } from '@axpo/kernels'
import { describe, expect, it } from 'vitest'
import { contexts, tinyConfig, tinyParameters, tinyProcessor } from './model.fixture.ts'
import { createModel, type Model } from './model.ts'
import { createReferenceExecutor } from './reference-executor.ts'

const config = tinyConfig(true)
const train = { tokens: 64, imageTokens: 16, selections: 64, spans: 512 }
const ones = contexts.map(({ tokens }) => new Float32Array(tokens.length).fill(-0.1))

async function onCpu<T>(use: (model: Model) => Promise<T>, capacities: Partial<typeof train> = {}): Promise<T> {
  const executor = await createCpuExecutor({ threads: 1 })
  const model = createModel({
    config,
    processor: tinyProcessor,
    executor,
    capacities: { train: { ...train, ...capacities } },
  })
  model.setParameters(tinyParameters(config, 5))
  try {
    return await use(model)
  } finally {
    model.close()
    await executor.close()
  }
}

async function trainSteps(model: Model, steps: number): Promise<void> {
  const batch = model.learner.pack(contexts)
  for (let i = 0; i < steps; i++) {
    await model.learner.backward(batch, ones)
    await model.learner.step(1e-3)
  }
}

describe('learner', () => {
  it('agrees with the f64 reference executor in values and gradients', async () => {
    const executor = createReferenceExecutor()
    const reference = createModel({ config, processor: tinyProcessor, executor, capacities: { train } })
    reference.setParameters(tinyParameters(config, 5))
    const run = async (model: Model) => {
      const scores = await model.learner.backward(model.learner.pack(contexts), ones)
      return { scores, gradients: await model.learner.gradients() }
    }
    const expected = await run(reference)
    const got = await onCpu(run)
    got.scores.logprobs.forEach((row, s) => {
      row.forEach((value, i) => {
        expect(value).toBeCloseTo(expected.scores.logprobs[s]![i]!, 4)
      })
    })
    for (const { name, offset, rows, width } of reference.parameterList.parameters) {
      const part = (flat: Float32Array) => flat.subarray(offset, offset + rows * width)
      const largest = part(expected.gradients).reduce((m, g) => Math.max(m, Math.abs(g)), 1e-2)
      const worst = part(got.gradients).reduce((m, g, i) => Math.max(m, Math.abs(g - part(expected.gradients)[i]!)), 0)
      expect(worst / largest, name).toBeLessThan(2e-4)
    }
  })

  it('values do not depend on how sequences are packed, to the bit; gradients agree', async () => {
    const run = (capacities: Partial<typeof train>) =>
      onCpu(async ({ learner }) => {
        const batch = learner.pack(contexts)
        const scores = await learner.forward(batch)
        await learner.backward(batch, ones)
        return { count: batch.microBatches.length, scores, gradients: await learner.gradients() }
      }, capacities)
    const [one, many] = [await run({}), await run({ tokens: 20 })]
    expect([one.count, many.count > 1]).toEqual([1, true])
    expect(many.scores).toEqual(one.scores)
    const norm = Math.hypot(...one.gradients)
    expect(Math.hypot(...one.gradients.map((g, i) => g - many.gradients[i]!)) / norm).toBeLessThan(1e-5)
  })

  it('does not depend on the number of threads, to the bit', async () => {
    const run = async (threads: number) => {
      const executor = await createCpuExecutor({ threads })
      const model = createModel({ config, processor: tinyProcessor, executor, capacities: { train } })
      model.setParameters(tinyParameters(config, 5))
      const scores = await model.learner.backward(model.learner.pack(contexts), ones)
      const gradients = await model.learner.gradients()
      await executor.close()
      return { scores, gradients }
    }
    expect(await run(2)).toEqual(await run(1))
  })

  it('raises the log-probabilities it is told to raise', async () => {
    await onCpu(async (model) => {
      const batch = model.learner.pack(contexts)
      const total = async () =>
        (await model.learner.forward(batch)).logprobs.reduce((sum, row) => sum + row.reduce((a, b) => a + b, 0), 0)
      const before = await total()
      await trainSteps(model, 20)
      expect(await total()).toBeGreaterThan(before + 5)
    })
  })

  it('goes on from a saved state with the same bytes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'axpo-learner-'))
    try {
      const [whole, version] = await onCpu(async (model) => {
        await trainSteps(model, 2)
        await model.learner.save(folder, { optimiser: true })
        await trainSteps(model, 2)
        return [await model.parameters(), model.weightVersion()] as const
      })
      const resumed = await onCpu(async (model) => {
        await model.learner.load(folder, { optimiser: true })
        await trainSteps(model, 2)
        return [await model.parameters(), model.weightVersion()] as const
      })
      expect(resumed[0]).toEqual(whole)
      expect(resumed[1]).toBe(version)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('refuses gradients of another shape and says so', async () => {
    await onCpu(async ({ learner }) => {
      await expect(learner.backward(learner.pack(contexts), [])).rejects.toThrow(/dLogprobs\[0\] must have 15 entries/)
    })
  })

  it('keeps a reference while the policy moves', async () => {
    await onCpu(async (model) => {
      await model.setReference()
      const before = await model.score(contexts)
      await trainSteps(model, 2)
      expect(await model.scoreReference(contexts)).toEqual(before)
      expect(await model.score(contexts)).not.toEqual(before)
    })
  })
})
