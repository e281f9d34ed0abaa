import type { Trajectory } from '@axpo/trajectory'
import { describe, expect, it } from 'vitest'
import { calibrationRows, formatCalibration } from './calibrate.ts'
import { countByQuestion, defaultEvaluation, evaluationQuestions } from './evaluate.ts'
import { mapConcurrently } from './map-concurrently.ts'

function rollout(questionId: string, reward: number, tool: boolean, status: 'ok' | 'timeout' = 'ok'): Trajectory {
  const call = { name: 'python', argumentsJson: '{}', status, observation: '', imageSha256: null }
  return {
    id: `${questionId}-${Math.random()}`,
    questionId,
    family: questionId.split('-')[0]!,
    split: 'test',
    step: 0,
    question: 0,
    sample: 0,
    parent: null,
    tokens: new Int32Array(0),
    logprobs: new Float32Array(0),
    entropies: new Float32Array(0),
    trainable: new Uint8Array(0),
    segments: tool ? [{ kind: 'act', start: 0, end: 0, weightVersion: 0, call }] : [],
    images: [],
    answer: '1',
    reward,
    finish: 'answer',
  }
}

describe('countByQuestion', () => {
  it('counts samples, right ones and tools, and leaves continuations out', () => {
    const source = rollout('zoom-1', 0, true)
    const counts = countByQuestion([
      source,
      rollout('zoom-1', 1, false),
      { ...rollout('zoom-1', 1, true), parent: { id: source.id, forkToken: 1 } },
      rollout('python-1', 1, true),
    ])
    expect(counts).toEqual([
      { questionId: 'zoom-1', family: 'zoom', samples: 2, correct: 1, toolUsing: 1, toolUsingCorrect: 0 },
      { questionId: 'python-1', family: 'python', samples: 1, correct: 1, toolUsing: 1, toolUsingCorrect: 1 },
    ])
  })
})

describe('evaluationQuestions', () => {
  it('takes the families in turn from one split, each item once', () => {
    const questions = evaluationQuestions({ ...defaultEvaluation, questions: 7 })
    expect(questions.map((q) => q.family)).toEqual(['zoom', 'python', 'search', 'zoom', 'python', 'search', 'zoom'])
    expect(new Set(questions.map((q) => q.id)).size).toBe(7)
    expect(questions.every((q) => q.split === 'test')).toBe(true)
  })
})

describe('calibration', () => {
  const many = (n: number, make: () => Trajectory) => Array.from({ length: n }, make)
  it('passes inside the bounds and fails outside, with every figure by family', () => {
    // 10 questions of 10: 3 tool rollouts each, all wrong on 4 questions
    const good = Array.from({ length: 10 }, (_, q) => [
      ...many(3, () => rollout(`zoom-${q}`, q < 4 ? 0 : 1, true)),
      ...many(7, () => rollout(`zoom-${q}`, 1, false)),
    ]).flat()
    const passed = formatCalibration(calibrationRows(good))
    expect(passed.pass).toBe(true)
    expect(passed.text).toContain('PASS  tool-use rate 0.300')
    expect(passed.text).toContain('PASS  all-wrong tool subgroups 0.400')
    const failed = formatCalibration(calibrationRows(many(10, () => rollout('zoom-0', 0, true, 'timeout'))))
    expect(failed.pass).toBe(false)
    expect(failed.text).toContain('FAIL  valid calls 0.000')
  })
})

describe('mapConcurrently', () => {
  it('keeps order, never has more in flight than the limit', async () => {
    let running = 0
    let most = 0
    const results = await mapConcurrently(20, 3, async (i) => {
      most = Math.max(most, ++running)
      await new Promise((r) => setTimeout(r, (i * 7) % 5))
      running--
      return i * i
    })
    expect(results).toEqual(Array.from({ length: 20 }, (_, i) => i * i))
    expect(most).toBe(3)
  })
  it('throws the first failure and starts no more', async () => {
    let started = 0
    const job = async (i: number) => {
      started++
      if (i === 2) throw new Error('third')
      return i
    }
    await expect(mapConcurrently(50, 1, job)).rejects.toThrow('third')
    expect(started).toBe(3)
  })
})
