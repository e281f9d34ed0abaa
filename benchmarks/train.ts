/** Training step on sequences of one length that share nothing: pack, forward, backward, AdamW. */

import type { Executor } from '../packages/kernels/src/index.ts'
import type { Model, TrainSequence } from '../packages/model/src/index.ts'
import type { BenchContext, SectionResult } from './bench.ts'
import type { Device } from './devices.ts'
import type { Table } from './report.ts'
import { type Case, interleave, median, timed } from './timing.ts'
import { createSequences, loadWorkload, openModel, type Workload } from './workload.ts'

export interface TrainTimes {
  readonly rows: number
  readonly pack: number
  readonly forward: number
  readonly backward: number
  readonly optimise: number
  readonly whole: number
}

/** One step on sequences that are not timed: every selected token is trained with the same weight, as in supervised training. */
export async function runTrainStep(model: Model, sequences: readonly TrainSequence[]): Promise<TrainTimes> {
  const { learner } = model
  const count = sequences.reduce((sum, { tokens }) => sum + tokens.length - 1, 0)
  const gradients = sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(-1 / count))
  const [batch, pack] = await timed(() => learner.pack(sequences))
  // of several, backward would run all but the last one's forward pass again
  if (batch.microBatches.length !== 1)
    throw new Error(
      `bench: a training step that is timed in parts must fit one micro-batch, got ${batch.microBatches.length}. Raise its capacities or take fewer sequences.`,
    )
  const [, forward] = await timed(() => learner.forward(batch))
  const [, backward] = await timed(() => learner.backward(batch, gradients))
  const [, optimise] = await timed(() => learner.step(1e-4))
  return { rows: batch.rowCount, pack, forward, backward, optimise, whole: pack + forward + backward + optimise }
}

export interface OpenModel {
  readonly device: Device
  readonly executor: Executor
  readonly model: Model
  readonly workload: Workload
}

export async function openAll(context: BenchContext, name: Workload['name']): Promise<OpenModel[]> {
  const open: OpenModel[] = []
  for (const device of context.devices) {
    const workload = await loadWorkload(name, device.kind, context)
    const executor = await device.open()
    open.push({ device, executor, model: openModel(workload, executor), workload })
  }
  return open
}

export async function closeAll(open: readonly OpenModel[]): Promise<void> {
  for (const { model, executor } of open) {
    model.close()
    await executor.close()
  }
}

/** Cases of one section, a device each; the software adapter repeats less often than the rest. */
export async function measureDevices<T>(
  open: readonly OpenModel[],
  run: (one: OpenModel, repetition: number) => Promise<T>,
): Promise<Map<string, T[]>> {
  const results = new Map<string, T[]>()
  for (const software of [false, true]) {
    const group = open.filter(({ device }) => (device.kind === 'software') === software)
    if (group.length === 0) continue
    const cases: Case<T>[] = group.map((one) => ({ name: one.device.name, run: (repetition) => run(one, repetition) }))
    for (const [name, values] of await interleave(cases, group[0]!.workload.sizes.repetitions))
      results.set(name, values)
  }
  return results
}

export async function benchTrain(context: BenchContext): Promise<SectionResult> {
  const rows: Table['rows'][number][] = []
  const samples: Record<string, unknown> = {}
  for (const name of ['nano', 'small'] as const) {
    const open = await openAll(context, name)
    const results = await measureDevices(open, (one, repetition) =>
      runTrainStep(one.model, createSequences(one.workload, repetition)),
    )
    for (const { device, workload } of open) {
      const times = results.get(device.name)!
      const of = (key: keyof TrainTimes) => median(times.map((time) => time[key]))
      const { sequences, sequenceTokens } = workload.sizes
      rows.push([
        name,
        device.name,
        `${sequences} x ${sequenceTokens}`,
        of('whole'),
        of('pack'),
        of('forward'),
        of('backward'),
        of('optimise'),
        (of('rows') / of('whole')) * 1000,
      ])
    }
    samples[name] = Object.fromEntries(results)
    await closeAll(open)
  }
  const columns = ['model', 'device', 'tokens', 'step ms', 'pack', 'forward', 'backward', 'AdamW', 'tokens/s']
  const notes = [
    'Each sequence has an image of its own (16 merged tokens) and shares nothing with the others.',
    'On WebGPU work is only submitted until something is read: the parts of a step say where it was waited for, not where it was done.',
  ]
  return { tables: [{ title: 'Training step', columns, rows, notes }], samples }
}
