/** Sampler = trainer to the bit, on every back-end but the wide build (wide.test.ts); threads change no bit either. */
import { describe, expect, it } from 'vitest'
import { cpuBackends, webGpuBackend } from './backends.fixture.ts'
import { describeSamplerTrainer, subjectNames } from './sampler-trainer.fixture.ts'

const answers = new Map<string, unknown>()
for (const backend of [...cpuBackends, await webGpuBackend('model/sampler-trainer')])
  describeSamplerTrainer(backend, answers)

describe('threads', () => {
  it.each(subjectNames.flatMap((label) => ['fma', 'plain'].map((build) => [label, build])))(
    '%s, build %s: two threads give the bits of one',
    (label, build) => {
      const one = answers.get(`${label}, the CPU, build ${build}, 1 thread`)
      expect(one).toBeInstanceOf(Array)
      expect(answers.get(`${label}, the CPU, build ${build}, 2 threads`)).toEqual(one)
    },
  )
})
