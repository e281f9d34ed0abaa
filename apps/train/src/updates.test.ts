/**
 * Several updates a step on the real nano model: at learning rate 0 the ratio stays exactly 1; at a large one clips act and the surrogates part; with one update they are what
 * they were; and a run killed between steps goes on with the same bytes.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openPython, openSession, type Session } from '@axpo/eval'
import { type Recipe, recipes } from '@axpo/policy'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RlSettings, rlStep, type StepMetrics, type Trainer } from './rl-step.ts'
import { checkpointDirectory, RunFolder } from './run-folder.ts'
import { createTrainer, type RunConfig, rlSettings, rolloutSetting, train } from './train.ts'

const checkpoint = fileURLToPath(new URL('../checkpoints/sft', import.meta.url))
const python = openPython()
let session: Session
let trainer: Trainer
let directory = ''
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'axpo-updates-'))
  session = await openSession({ device: 'cpu', threads: 1, checkpoint })
  await python.warm()
  trainer = await createTrainer(session, rolloutSetting(session, python), undefined)
}, 60_000)
afterAll(async () => {
  await python.dispose()
  await session.close()
  rmSync(directory, { recursive: true })
})

const settingsOf = (recipe: Recipe, learningRate: number, steps = 1): RlSettings => ({
  ...rlSettings(recipe, { learningRate, seed: 5 }),
  steps,
  questions: 3,
})

/** The first step from the checkpoint, with a fresh optimiser. */
async function firstStep(recipe: Recipe, learningRate: number): Promise<{ metrics: StepMetrics; weights: Buffer }> {
  await session.model.learner.load(fresh, { optimiser: true })
  await session.model.setReference()
  const { metrics } = await rlStep(trainer, settingsOf(recipe, learningRate), 0)
  const { buffer, byteOffset, byteLength } = await session.model.learner.parameters()
  return { metrics, weights: Buffer.from(buffer, byteOffset, byteLength) }
}

/** The checkpoint with an optimiser that has taken no step. */
let fresh = ''
beforeAll(async () => {
  fresh = join(directory, 'fresh')
  await session.model.load(checkpoint)
  await session.model.learner.save(fresh, { optimiser: true })
})

const large = 1e-3

describe('several updates a step', { timeout: 120_000 }, () => {
  it('with one, no metric of several is written and nothing is clipped', async () => {
    const { metrics, weights } = await firstStep(recipes.axpo, large)
    expect(metrics).toMatchObject({ clipFraction: 0, samplerGapNats: 0, klNats: 0 })
    expect(metrics.gradientNorm).toBeGreaterThan(0.1)
    for (const name of ['updates', 'ratioMean', 'ratioMax', 'oldKlNats']) expect(metrics).not.toHaveProperty(name)
    const said = await firstStep({ ...recipes.axpo, miniBatches: 1, epochs: 1 }, large)
    expect(said.metrics).toEqual(metrics)
    expect(said.weights.equals(weights)).toBe(true)
  })

  it('at learning rate 0 the ratio of every later update is exactly 1', async () => {
    for (const recipe of [recipes.axpo, recipes.gspo]) {
      const { metrics, weights } = await firstStep({ ...recipe, epochs: 2, miniBatches: 3 }, 0)
      const klNats = recipe.klWeight > 0 ? 0 : null
      expect(metrics).toMatchObject({ updates: 6, ratioMean: 1, ratioMax: 1, oldKlNats: 0, clipFraction: 0, klNats })
      expect(weights.equals((await firstStep(recipe, 0)).weights)).toBe(true)
    }
  })

  it('at a large one clips act, and what one update cannot tell apart parts', async () => {
    // one aggregation, no KL: what is left is the surrogate and its clip
    const plain = { ...recipes.grpo, klWeight: 0 }
    const surrogates: Recipe[] = [
      plain,
      { ...plain, surrogate: 'gspo', clipLow: 3e-4, clipHigh: 4e-4 },
      { ...plain, surrogate: 'cispo', clipLow: 1, clipHigh: 0 },
    ]
    const run = async (more: Partial<Recipe>) => {
      const found = []
      for (const recipe of surrogates) found.push(await firstStep({ ...recipe, ...more }, large))
      return found
    }
    const one = await run({})
    for (const { weights } of one) expect(weights.equals(one[0]!.weights)).toBe(true)
    const several = await run({ miniBatches: 3, epochs: 2 })
    for (const { metrics } of several) {
      expect(metrics).toMatchObject({ updates: 6, samplerGapNats: 0 })
      expect(metrics.clipFraction).toBeGreaterThan(0)
      expect(metrics.clipFraction).toBeLessThan(1)
      expect(metrics.ratioMax).toBeGreaterThan(1)
      expect(metrics.oldKlNats).toBeGreaterThan(0)
    }
    const weights = several.map((s) => s.weights.toString('base64'))
    expect(new Set(weights).size).toBe(3)
    const dual = await firstStep({ ...plain, miniBatches: 3, epochs: 2, dualClip: 1.1 }, large)
    expect(dual.weights.equals(several[0]!.weights)).toBe(false)
  })

  it('an entropy bonus reaches the weights', async () => {
    const entropyAfter = async (entropyBonus: number) => {
      await firstStep({ ...recipes.grpo, klWeight: 0, epochs: 4, entropyBonus }, 3e-4)
      const { metrics } = await rlStep(trainer, settingsOf(recipes.grpo, 0), 1)
      return metrics.entropyThinkNats! + metrics.entropyAnswerNats!
    }
    const [less, more] = [await entropyAfter(-0.2), await entropyAfter(0.2)]
    expect(more).toBeGreaterThan(less + 0.05)
  })

  it('a run with several updates that was stopped goes on with the same bytes', async () => {
    const settings = settingsOf({ ...recipes.axpo, miniBatches: 2, epochs: 2 }, large, 2)
    const config: RunConfig = {
      formatVersion: 1,
      checkpoint,
      checkpointSha256: '0'.repeat(64),
      device: 'cpu',
      checkpointEvery: 1,
      settings: { ...settings, families: [...settings.families] },
      evaluation: null,
    }
    const start = () => session.model.learner.load(fresh, { optimiser: true })
    await start()
    const calm = join(directory, 'calm')
    await train(trainer, config, RunFolder.create(calm, config), { stop: () => false })
    await start()
    const halted = join(directory, 'halted')
    let asked = 0
    await train(trainer, config, RunFolder.create(halted, config), { stop: () => asked++ === 1 })
    await start()
    const folder = RunFolder.resume(halted)
    expect(folder.resumedStep).toBe(1)
    await train(trainer, config, folder, { stop: () => false })
    for (const name of ['model.safetensors', 'optimiser.safetensors']) {
      const bytes = (run: string) => readFileSync(join(checkpointDirectory(run, 2), name))
      expect(bytes(halted).equals(bytes(calm)), name).toBe(true)
    }
    for (const name of ['metrics.jsonl', 'trajectories.msgpack'])
      expect(readFileSync(join(halted, name)).equals(readFileSync(join(calm, name))), name).toBe(true)
  })
})
