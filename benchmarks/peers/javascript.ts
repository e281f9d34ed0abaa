/** Training step of a text-only nano in ours, jax-js and tfjs, one thread each: the peers have no more under Node. */
import { join } from 'node:path'
import type { Comparison } from '../peers.ts'
import { type Case, interleave } from '../timing.ts'
import { runTrainStep } from '../train.ts'
import { createTextSequences, type Effort, loadWorkload, type Workload } from '../workload.ts'
import { comparisonTables, type Work } from './comparison.ts'
import { PeerProcess } from './peer-process.ts'
import { openOurs } from './python.ts'

const peers = [
  { name: 'jax-js wasm', file: 'jax.mjs' },
  { name: 'tfjs wasm', file: 'tfjs.mjs' },
] as const

export function startScript(folder: string, file: string, ...args: string[]): PeerProcess {
  return new PeerProcess(process.execPath, ['--disable-warning=ExperimentalWarning', join(folder, file), ...args], {
    cwd: folder,
  })
}

interface Step {
  readonly ms: number
  /** Of the peers, nats; ours has other weights and other tokens. */
  readonly loss: number | null
}

/** Relative; rounding of two libraries over some steps. */
const lossGapLimit = 1e-3

/** The peers start from the same weights and see the same tokens: whose losses differ did not do the same work. */
function describeLosses(a: readonly Step[], b: readonly Step[]): string {
  const gaps = a.map(({ loss }, i) => Math.abs(loss! - b[i]!.loss!) / Math.abs(loss!))
  const worst = Math.max(...gaps)
  const list = (steps: readonly Step[]) => steps.map(({ loss }) => loss!.toFixed(5)).join(', ')
  const words = `losses of ${peers[0].name} ${list(a)}; of ${peers[1].name} ${list(b)} (the step that warms up left out): at most ${worst.toExponential(1)} apart, relative`
  if (!(worst <= lossGapLimit)) throw new Error(`js: losses must be within ${lossGapLimit}, got ${words}.`)
  return `Same weights, same tokens: ${words}.`
}

export async function compareTextTraining(folder: string, effort: Effort): Promise<Comparison> {
  const loaded = await loadWorkload('nano', 'cpu', effort)
  // the last token of ours is only a target
  const tokens = effort.quick ? 15 : 127
  const sequences = effort.quick ? 2 : 16
  const workload: Workload = { ...loaded, sizes: { ...loaded.sizes, sequences, sequenceTokens: tokens + 1 } }
  const ours = await openOurs(workload, 1, effort.build)
  const running = peers.map(({ name, file }) => ({ name, process: startScript(folder, file) }))
  try {
    for (const { process: peer } of running) await peer.ready()
    const runOurs = async (step: number): Promise<Step> => ({
      ms: (await runTrainStep(ours.model, createTextSequences(workload, step))).whole,
      loss: null,
    })
    const cases: Case<Step>[] = [
      { name: 'ours', run: runOurs },
      ...running.map(({ name, process: peer }) => ({
        name,
        run: () => peer.numbers({ op: 'train', sequences, tokens }, ['ms', 'loss']),
      })),
    ]
    const results = await interleave(cases, effort.quick ? 1 : (effort.repetitions ?? 3))
    const measured = [...results].map(([who, steps]) => ({
      who,
      ours: who === 'ours',
      threads: 1,
      how: '',
      samples: steps.map(({ ms }) => ({ ms, tokens: sequences * tokens })),
    }))
    const works: Work[] = [{ name: `training step, nano without images, ${sequences} x ${tokens}`, measured }]
    const notes = [
      'The peers leave out rotary positions and gradient clipping, which ours has; jax-js runs the whole step as one compiled function. Time of ours includes packing, theirs begins with one-hot rows made.',
      describeLosses(results.get(peers[0].name)!, results.get(peers[1].name)!),
    ]
    return {
      tables: comparisonTables('Training step against JavaScript peers', works, notes),
      samples: { works, steps: Object.fromEntries(results) },
    }
  } finally {
    for (const { process: peer } of running) peer.close()
    await ours.close()
  }
}
