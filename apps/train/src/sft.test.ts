import { defaultLimits, rollout, type Sampler } from '@axpo/agent'
import { agentPorts, openPython, openSession, type Session, suiteRegistry, suiteTask } from '@axpo/eval'
import { createRandom, demonstrateCall, demonstrationAt, families, loadQuestion, sftPhases } from '@axpo/tasks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { demonstrationTokens } from './demonstration-tokens.ts'
import { defaultSftSettings, sftBatch, sftContext, sftLearningRate, sftPhaseAt, sftStep, sftStepCount } from './sft.ts'

let session: Session
const python = openPython()
beforeAll(async () => {
  session = await openSession({ device: 'cpu', threads: 1 })
  await python.warm()
}, 60_000)
afterAll(async () => {
  await python.dispose()
  await session.close()
})

/** Says what the demonstration says, and fails as soon as the environment said something else. */
function scripted(tokens: Int32Array): Sampler {
  return {
    async sample(request) {
      const start = request.tokens.length
      expect([...request.tokens], 'context').toEqual([...tokens.subarray(0, start)])
      let end = start
      while (end < tokens.length && !request.stopTokens.includes(tokens[end]!)) end++
      const said = tokens.slice(start, end + 1)
      const zeros = new Float32Array(said.length)
      return { tokens: said, logprobs: zeros, entropies: zeros, finish: 'stop', weightVersion: 0 }
    },
  }
}

describe('demonstrations', () => {
  it('are what the agent writes with the real tools, token for token', { timeout: 60_000 }, async () => {
    const setting = {
      ...agentPorts(session),
      tools: suiteRegistry(python),
      temperature: 1,
      limits: defaultLimits,
      images: new Map(),
    }
    let withTool = 0
    for (const [mixture, first] of [
      [sftPhases[1], 0],
      [sftPhases[2], 100],
    ] as const)
      for (const family of families)
        for (let index = first; index < first + 8; index++) {
          const question = loadQuestion(family, 'train', index, 0.5)
          const demonstration = demonstrationAt(question, mixture, 1, index)
          const { tokens, selected } = await demonstrationTokens(question, demonstration, sftContext(session))
          const job = { task: suiteTask(question), seed: 1, step: 0, question: 0, sample: 0 }
          const done = await rollout({ ...setting, sampler: scripted(tokens) }, job)
          expect([...done.tokens], `${question.id}`).toEqual([...tokens])
          expect([...done.trainable], `${question.id}: what is learnt`).toEqual([...selected])
          expect(done.answer?.trim()).toBe(demonstration.answer)
          if (demonstration.call) withTool++
        }
    expect(withTool).toBeGreaterThan(12)
  })

  it('with a call that the question does not offer are refused', async () => {
    const question = loadQuestion('python', 'train', 0, 0)
    const call = demonstrateCall(question, true, createRandom('refused'))
    expect(call.name).toBe('python')
    const { answerCall } = sftContext(session)
    const offered = { ...question, tools: ['python'] }
    await expect(answerCall(offered, call)).resolves.toMatchObject({ text: `=> ${call.reading}` })
    await expect(answerCall({ ...offered, tools: ['zoom'] }, call)).rejects.toThrow(
      /sft: the demonstrated python call must work/,
    )
  })
})

describe('sft', () => {
  const settings = { ...defaultSftSettings, batch: 4 }
  it('makes the same batch for the same step', async () => {
    const context = sftContext(session)
    const [a, b] = [await sftBatch(settings, 3, context), await sftBatch(settings, 3, context)]
    expect(a.map((s) => [...s.tokens])).toEqual(b.map((s) => [...s.tokens]))
    expect(a.map((s) => s.images.map((i) => i.sha256))).toEqual(b.map((s) => s.images.map((i) => i.sha256)))
    const other = await sftBatch(settings, 4, context)
    expect(other.map((s) => [...s.tokens])).not.toEqual(a.map((s) => [...s.tokens]))
  })

  it('warms up, stays, and falls to 5 % at the end of each phase', () => {
    const [one] = settings.phases
    expect(sftLearningRate(settings, 0)).toBeCloseTo(one.learningRate / settings.warmUpSteps, 9)
    expect(sftLearningRate(settings, settings.warmUpSteps)).toBe(one.learningRate)
    expect(sftLearningRate(settings, one.steps - 1)).toBeLessThan(0.06 * one.learningRate)
    expect(sftPhaseAt(settings, one.steps)).toEqual({ phase: 2, within: 0 })
    expect(sftLearningRate(settings, sftStepCount(settings) - 1)).toBeLessThan(0.06 * settings.phases[1].learningRate)
  })

  it('learns: the loss of one batch falls when it is repeated', { timeout: 60_000 }, async () => {
    session.model.initialise(1)
    const batch = await sftBatch(settings, 0, sftContext(session))
    const fast = { ...settings, warmUpSteps: 1 }
    const losses: number[] = []
    for (let i = 0; i < 16; i++) losses.push((await sftStep(session, fast, i, batch)).loss)
    expect(losses[0]).toBeGreaterThan(5)
    expect(losses.at(-1)).toBeLessThan(losses[0]! - 2)
  })
})
