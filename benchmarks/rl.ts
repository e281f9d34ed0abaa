/** Whole step of reinforcement learning: sample with shared prompts, learn on the packed rollouts. */
import type { BenchContext, SectionResult } from './bench.ts'
import type { Table } from './report.ts'
import { type RlTimes, runRlStep, variedLength } from './rl-step.ts'
import { median } from './timing.ts'
import { closeAll, measureDevices, openAll } from './train.ts'

export async function benchRl(context: BenchContext): Promise<SectionResult> {
  const rows: Table['rows'][number][] = []
  const samples: Record<string, unknown> = {}
  const variant = { shared: true, continuations: 0, lengthOf: variedLength }
  for (const name of ['nano', 'small'] as const) {
    const open = await openAll(context, name)
    const results = await measureDevices(open, (one, repetition) =>
      runRlStep(one.model, one.workload, variant, repetition),
    )
    for (const { device, workload } of open) {
      const times = results.get(device.name)!
      const of = (key: keyof RlTimes) => median(times.map((time) => time[key]))
      const { questions, samples: perQuestion } = workload.sizes
      rows.push([
        name,
        device.name,
        `${questions} x ${perQuestion}`,
        of('sampledTokens'),
        of('sampleMs'),
        of('learnerRows'),
        of('learnMs'),
        of('wholeMs'),
      ])
    }
    samples[name] = Object.fromEntries(results)
    await closeAll(open)
  }
  const columns = [
    'model',
    'device',
    'questions x rollouts',
    'sampled tokens',
    'sampling ms',
    'learner rows',
    'learning ms',
    'step ms',
  ]
  const notes = [
    'Prompts of 45 tokens with an image, 15 to 45 sampled tokens a rollout. Learning: pack, forward, backward, AdamW.',
  ]
  return { tables: [{ title: 'Whole step of reinforcement learning', columns, rows, notes }], samples }
}
