/**
 * A worker thread of the CPU executor that dies in the middle of a step: one clear error instead of a hang, the steps before it stay whole, and the resumed run ends
 * with the bytes of an undisturbed one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openPython, openSession, type Session } from '@axpo/eval'
import { CpuExecutor } from '@axpo/kernels'
import { recipes } from '@axpo/policy'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { explain } from './explain.ts'
import { checkpointDirectory, RunFolder } from './run-folder.ts'
import { createTrainer, loadMetrics, type RunConfig, rlSettings, rolloutSetting, train } from './train.ts'

const checkpoint = fileURLToPath(new URL('../checkpoints/sft', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'axpo-worker-'))
const python = openPython()
afterAll(() => {
  python.dispose()
  rmSync(directory, { recursive: true })
})

const steps = 4
/** The step in which the worker dies, the second one after a checkpoint: the first is done again, too. */
const deadly = 4

const config: RunConfig = {
  formatVersion: 1,
  checkpoint,
  checkpointSha256: '',
  device: 'cpu',
  checkpointEvery: 2,
  evaluation: null,
  settings: { ...rlSettings(recipes.axpo), steps, questions: 1, families: ['zoom'] },
}

interface Doomed {
  readonly executor: CpuExecutor
  readonly session: Session
  /** Ends the worker thread from outside. */
  kill(): Promise<unknown>
}

/** One death of the worker, set up at the beginning of the step. */
type Death = (doomed: Doomed) => void

/** As a step of the sampler begins: the calling thread is in WebAssembly and waits for it. */
const insideRun: Death = ({ executor, kill }) => {
  const execute = executor.execute.bind(executor)
  let count = 0
  vi.spyOn(executor, 'execute').mockImplementation((...args) => {
    if (++count === 12) void kill()
    execute(...args)
  })
}

/** Between sampling and learning: it is known to be gone when the next run begins. */
const betweenRuns: Death = ({ session, kill }) => {
  const { learner } = session.model
  const backward = learner.backward.bind(learner)
  vi.spyOn(learner, 'backward').mockImplementation(async (...args) => {
    await kill()
    return backward(...args)
  })
}

/** Trains on two threads; `death` comes in the deadly step. */
async function runOn(folder: RunFolder, death?: Death) {
  const session = await openSession({ device: 'cpu', threads: 2, checkpoint })
  const { executor } = session
  if (!(executor instanceof CpuExecutor)) throw new Error('lost worker: --device cpu must give the CPU.')
  const [worker] = Reflect.get(executor, 'workers') as { terminate(): Promise<unknown> }[]
  // seconds without any arrival; a minute by default
  ;(Reflect.get(executor, 'control') as Int32Array)[8] = 2
  const trainer = await createTrainer(session, rolloutSetting(session, python), config.settings)
  let asked = 0
  const stop = () => {
    if (++asked === deadly) death?.({ executor, session, kill: () => worker!.terminate() })
    return false
  }
  try {
    return await train(trainer, config, folder, { stop })
  } finally {
    await session.close()
    expect(executor.byteLength()).toBe(0)
  }
}

const files = [
  'metrics.jsonl',
  'trajectories.msgpack',
  ...['model.safetensors', 'optimiser.safetensors'].map((name) => join(checkpointDirectory('', steps), name)),
]

describe('a worker thread that dies in the fourth step', { timeout: 120_000 }, () => {
  const calm = join(directory, 'calm')
  beforeAll(async () => {
    expect(await runOn(RunFolder.create(calm, config))).toMatchObject({ steps, finished: true })
  }, 60_000)

  it.each([
    ['inside a run of the sampler', insideRun, /cpu: kernel \w+ must be finished by every thread, got a trap .*died/],
    ['between two runs', betweenRuns, /cpu: worker thread 1 must live as long as its executor, got stopped: it ended/],
  ])('%s: one error, and the resumed run ends with the same bytes', async (name, death, message) => {
    const run = join(directory, name.replaceAll(' ', '-'))
    const error = await runOn(RunFolder.create(run, config), death).then(
      () => 'none',
      (reason: unknown) => explain(reason),
    )
    expect(error).toMatch(message)
    expect(error).toMatch(/^.*go on with --resume, on one thread with --threads 1\.$/)
    expect(loadMetrics(run).map((m) => m.step)).toEqual([1, 2, 3])

    const folder = RunFolder.resume(run)
    expect(folder.resumedStep).toBe(2)
    expect(await runOn(folder)).toMatchObject({ steps, finished: true })
    for (const file of files)
      expect(readFileSync(join(run, file)).equals(readFileSync(join(calm, file))), file).toBe(true)
  })
})
