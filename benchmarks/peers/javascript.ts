/** Training step of a text-only nano in ours, jax-js and tfjs, one thread each: the peers have no more under Node. */
import { join } from 'node:path'
import type { Comparison } from '../peers.ts'
import { type Case, interleave } from '../timing.ts'
import { runTrainStep } from '../train.ts'
import { createTextSequences, type Effort, loadWorkload, type Workload } from '../workload.ts'
import { PeerProcess } from './peer-process.ts'
import { comparisonColumns, comparisonLine, type Line, openOurs } from './python.ts'

const peers = [
  { name: 'jax-js wasm', file: 'jax.mjs' },
  { name: 'tfjs wasm', file: 'tfjs.mjs' },
] as const

export function startScript(folder: string, file: string, ...args: string[]): PeerProcess {
  return new PeerProcess(process.execPath, ['--disable-warning=ExperimentalWarning', join(folder, file), ...args], {
    cwd: folder,
  })
}

export async function compareTextTraining(folder: string, effort: Effort): Promise<Comparison> {
  const loaded = await loadWorkload('nano', 'cpu', effort)
  // the last token of ours is only a target
  const tokens = effort.quick ? 15 : 127
  const sequences = effort.quick ? 2 : 16
  const workload: Workload = { ...loaded, sizes: { ...loaded.sizes, sequences, sequenceTokens: tokens + 1 } }
  const ours = await openOurs(workload, 1)
  const running = peers.map(({ name, file }) => ({ name, process: startScript(folder, file) }))
  try {
    for (const { process: peer } of running) await peer.ready()
    const cases: Case<number>[] = running.flatMap(({ name, process: peer }) => [
      {
        name: `ours before ${name}`,
        run: async (step) => (await runTrainStep(ours.model, createTextSequences(workload, step))).whole,
      },
      { name, run: () => peer.milliseconds({ op: 'train', sequences, tokens }) },
    ])
    const results = await interleave(cases, effort.quick ? 1 : (effort.repetitions ?? 3))
    const lines: Line[] = running.map(({ name }) => ({
      work: `training step, nano without images, ${sequences} x ${tokens}, 1 thread`,
      ours: results.get(`ours before ${name}`)!,
      peer: results.get(name)!,
      peerName: name,
      tokens: sequences * tokens,
    }))
    const notes = [
      'The peers leave out rotary positions and gradient clipping; jax-js runs the whole step as one compiled function. Their losses agree with each other to five digits.',
    ]
    const table = {
      title: 'Training step against JavaScript peers',
      columns: comparisonColumns,
      rows: lines.map(comparisonLine),
      notes,
    }
    return { tables: [table], samples: lines }
  } finally {
    for (const { process: peer } of running) peer.close()
    await ours.close()
  }
}
