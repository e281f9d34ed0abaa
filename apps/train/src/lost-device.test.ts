/** A WebGPU device lost in the middle of a step: one error that says so, the steps before it stay whole, and the run goes on from there on another device. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openPython, openSession } from '@axpo/eval'
import { describeAdapter, WebGpuExecutor } from '@axpo/kernels'
import { recipes } from '@axpo/policy'
import { afterAll, describe, expect, it } from 'vitest'
import { RunFolder } from './run-folder.ts'
import { createTrainer, loadMetrics, type RunConfig, rlSettings, rolloutSetting, train } from './train.ts'

const none = process.env.AXPO_ADAPTER === 'none'
if (none) console.warn('lost device: SKIPPED, AXPO_ADAPTER=none says that this machine has no WebGPU adapter.')
else if (!(await describeAdapter()))
  throw new Error('lost device: a WebGPU adapter is needed, got none. Run `npm test`, which brings a software driver.')

const checkpoint = fileURLToPath(new URL('../checkpoints/sft', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'axpo-lost-'))
afterAll(() => rmSync(directory, { recursive: true }))

const config: RunConfig = {
  formatVersion: 1,
  checkpoint,
  checkpointSha256: '',
  device: 'webgpu',
  checkpointEvery: 1,
  evaluation: null,
  settings: { ...rlSettings(recipes.axpo, { families: ['zoom'] }), steps: 2, questions: 1, families: ['zoom'] },
}

describe.skipIf(none)('a device lost in the second step', () => {
  it('is one error; the step before is kept and the CPU goes on with it', { timeout: 240_000 }, async () => {
    const run = join(directory, 'run')
    const python = openPython()
    const session = await openSession({ device: 'webgpu', threads: 1, checkpoint })
    const { executor } = session
    if (!(executor instanceof WebGpuExecutor)) throw new Error('lost device: --device webgpu must give WebGPU.')
    const lose = () => {
      // the step takes ten times as long on any software driver
      setTimeout(() => executor.device.destroy(), 20)
      return false
    }
    let asked = 0
    const trainer = await createTrainer(session, rolloutSetting(session, python), config.settings)
    const lost = train(trainer, config, RunFolder.create(run, config), { stop: () => (asked++ === 1 ? lose() : false) })
    await expect(lost).rejects.toThrow(/device.*lost.*resume/is)
    await session.close()
    expect(executor.byteLength()).toBe(0)

    const cpu = await openSession({ device: 'cpu', threads: 1, checkpoint })
    const folder = RunFolder.resume(run)
    expect(folder.resumedStep).toBe(1)
    const again = await createTrainer(cpu, rolloutSetting(cpu, python), config.settings)
    const outcome = await train(again, config, folder, { stop: () => false })
    expect(outcome).toMatchObject({ steps: 2, finished: true })
    expect(loadMetrics(run).map((m) => m.step)).toEqual([1, 2])
    python.dispose()
    await cpu.close()
  })
})
