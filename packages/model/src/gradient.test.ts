import { describe, expect, it } from 'vitest'
import { counterNormal } from './init.ts'
import { contexts, tinyConfig, tinyParameters, tinyProcessor } from './model.fixture.ts'
import { createModel } from './model.ts'
import { createReferenceExecutor } from './reference-executor.ts'

const capacities = { tokens: 64, imageTokens: 16, selections: 64, spans: 512 }

function setUp(tied: boolean) {
  const config = tinyConfig(tied)
  const executor = createReferenceExecutor()
  const model = createModel({ config, processor: tinyProcessor, executor, capacities: { train: capacities } })
  model.setParameters(tinyParameters(config, 5))
  return { config, executor, model }
}

describe.each([true, false])('gradients, tied head %s', (tied) => {
  it('agree with central differences for every parameter by name', async () => {
    const { executor, model } = setUp(tied)
    const { learner } = model
    const batch = learner.pack(contexts)
    const weight = (s: number, stream: number) =>
      Float32Array.from(contexts[s]!.tokens, (_, i) => counterNormal(9, stream * 10 + s, i))
    const dLogprobs = contexts.map((_, s) => weight(s, 1))
    const dEntropies = contexts.map((_, s) => weight(s, 2))
    const loss = async () => {
      const { logprobs, entropies } = await learner.forward(batch)
      let sum = 0
      for (let s = 0; s < contexts.length; s++)
        for (let i = 1; i < contexts[s]!.tokens.length; i++)
          sum += dLogprobs[s]![i]! * logprobs[s]![i]! + dEntropies[s]![i]! * entropies[s]![i]!
      return sum
    }
    await learner.backward(batch, dLogprobs, dEntropies)
    const gradients = executor.region('grads').slice()
    const params = executor.region('params')
    // scores are read as f32, so the step is large enough to drown their rounding
    const h = 1e-2
    for (const parameter of model.parameterList.parameters) {
      const count = parameter.rows * parameter.width
      // along a random direction: every element takes part
      const direction = Float64Array.from(
        { length: count },
        (_, i) => counterNormal(3, parameter.offset, i) / Math.sqrt(count),
      )
      const move = (step: number) =>
        direction.forEach((d, i) => {
          params[parameter.offset + i]! += step * d
        })
      const at = async (step: number) => {
        move(step)
        const value = await loss()
        move(-step)
        return value
      }
      // fourth order
      const slope = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
      const expected = direction.reduce((sum, d, i) => sum + d * gradients[parameter.offset + i]!, 0)
      const largest = gradients
        .subarray(parameter.offset, parameter.offset + count)
        .reduce((m, g) => Math.max(m, Math.abs(g)), 0)
      expect(Math.abs(slope - expected), `${parameter.name}: ${slope} and ${expected}`).toBeLessThan(
        2e-3 * Math.max(1, largest),
      )
      if (!parameter.name.endsWith('k_proj.bias')) expect(largest, parameter.name).toBeGreaterThan(0)
    }
  })
})
