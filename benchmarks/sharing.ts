/**
 * What sharing prefixes saves: the same rollouts with shared prompts and with prompts of their own, each with and without 25 % resampled continuations
 * (AXPO's), which fork a rollout in the middle. On the CPU with all threads, nano.
 */
import type { BenchContext, SectionResult } from './bench.ts'
import type { Table } from './report.ts'
import { type RlTimes, type RlVariant, runRlStep, variedLength } from './rl-step.ts'
import { interleave, median, ratio } from './timing.ts'
import { loadWorkload, openModel } from './workload.ts'

const variants: Readonly<Record<string, RlVariant>> = {
  'shared prompts': { shared: true, continuations: 0, lengthOf: variedLength },
  'nothing shared': { shared: false, continuations: 0, lengthOf: variedLength },
  'shared, +25 % forks': { shared: true, continuations: 0.25, lengthOf: variedLength },
  'nothing shared, +25 %': { shared: false, continuations: 0.25, lengthOf: variedLength },
}

export async function benchSharing(context: BenchContext): Promise<SectionResult> {
  const cpus = context.devices.filter(({ kind }) => kind === 'cpu')
  const device = cpus.at(-1) ?? context.devices[0]
  if (!device) return { tables: [], samples: null }
  const workload = await loadWorkload('nano', device.kind, context)
  const executor = await device.open()
  const model = openModel(workload, executor)
  const cases = Object.entries(variants).map(([name, variant]) => ({
    name,
    run: (step: number) => runRlStep(model, workload, variant, step),
  }))
  const results = await interleave<RlTimes>(cases, workload.sizes.repetitions)
  model.close()
  await executor.close()
  const whole = (name: string) => results.get(name)!.map(({ wholeMs }) => wholeMs)
  const base = whole('shared prompts')
  const rows: Table['rows'] = [...results].map(([name, times]) => {
    const of = (key: keyof RlTimes) => median(times.map((time) => time[key]))
    return [
      name,
      of('sampledTokens'),
      of('encodedImages'),
      of('samplerRows'),
      of('sampleMs'),
      of('learnerRows'),
      of('learnMs'),
      of('wholeMs'),
      ratio(whole(name), base),
    ]
  })
  const forks = ratio(whole('shared, +25 % forks'), base)
  const saved = ratio(whole('nothing shared'), base)
  const { questions, samples } = workload.sizes
  const notes = [
    `${questions} questions x ${samples} rollouts; a continuation starts in the middle of what its source sampled, and goes on to the source's length.`,
    `+25 % rollouts cost ${(100 * (forks - 1)).toFixed(1)} % more step time (aim: at most 15 %). Sharing prompts makes a step ${saved.toFixed(2)} times as fast.`,
  ]
  const columns = [
    'variant',
    'sampled tokens',
    'images encoded',
    'sampler rows',
    'sampling ms',
    'learner rows',
    'learning ms',
    'step ms',
    'of shared',
  ]
  return {
    tables: [{ title: `Shared prefixes, nano, ${device.name}`, columns, rows, notes }],
    samples: Object.fromEntries(results),
  }
}
