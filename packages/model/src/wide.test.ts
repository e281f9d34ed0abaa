/**
 * The wide build of the CPU executor: parity with Hugging Face, and sampler = trainer to the bit, with the bits of the fma build. In a process of its own,
 * since V8's option for 256-bit operations, once on, stays on.
 */
import { setFlagsFromString } from 'node:v8'
import { beforeAll, describe, expect, it } from 'vitest'
import { cpuBackends, wideBackends } from './backends.fixture.ts'
import { describeParity } from './parity-suite.fixture.ts'
import { describeSamplerTrainer, subjectNames } from './sampler-trainer.fixture.ts'

const answers = new Map<string, unknown>()
const fma = cpuBackends[0]!
for (const backend of wideBackends) if (backend.missing) console.warn(`model/wide: SKIPPED, ${backend.missing}.`)

// before anything is wide
describeSamplerTrainer(fma, answers)

describe('the wide build', () => {
  // only optimised code has 256-bit operations
  beforeAll(() => setFlagsFromString('--no-liftoff'))

  for (const backend of wideBackends) describeSamplerTrainer(backend, answers)
  describeParity(wideBackends[0]!)

  it
    .skipIf(wideBackends[0]!.missing !== null)
    .each(subjectNames.flatMap((label) => wideBackends.map(({ name }) => [label, name] as const)))(
    '%s on %s: the bits of fma',
    (label, name) => {
      const wanted = answers.get(`${label}, ${fma.name}`)
      expect(wanted).toBeInstanceOf(Array)
      expect(answers.get(`${label}, ${name}`)).toEqual(wanted)
    },
  )
})
