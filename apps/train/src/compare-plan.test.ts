import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultEvaluation } from '@axpo/eval'
import { recipes } from '@axpo/policy'
import { expect, test } from 'vitest'
import { madeUpPlan } from './compare.fixture.ts'
import {
  cellJob,
  checkPlan,
  evaluationPlan,
  loadPlan,
  rolloutsAStep,
  savePlan,
  startJob,
  validationSteps,
} from './compare-plan.ts'

test('validation every so many steps and always at the end', () => {
  expect(validationSteps({ steps: 100, evalEvery: 40 })).toEqual([40, 80, 100])
  expect(validationSteps({ steps: 40, evalEvery: 20 })).toEqual([20, 40])
  expect(validationSteps({ steps: 3, evalEvery: 20 })).toEqual([3])
})

test('a cell validates on its way, is tested at the end, and again where it goes on; the unseen tool only when asked for', () => {
  const cell = { recipe: 'grpo', seed: 3, easyShare: 0.5 }
  const names = (plan: typeof madeUpPlan, further: number[] = []) =>
    cellJob('/c', plan, cell, further).milestones.map((m) => [m.step, ...m.evaluations.map((e) => e.name)])
  expect(names(madeUpPlan)).toEqual([
    [2, 'validation'],
    [4, 'validation', 'test'],
  ])
  expect(names({ ...madeUpPlan, unseenQuestions: 2 }, [9, 4, 6, 9])).toEqual([
    [2, 'validation'],
    [4, 'validation', 'test', 'unseen'],
    [6, 'test', 'unseen'],
    [9, 'test', 'unseen'],
  ])
})

test('cells of one seed differ in the recipe only: same weights, same questions, same random numbers', () => {
  const [grpo, axpo] = ['grpo', 'axpo'].map((recipe) => cellJob('/c', madeUpPlan, { recipe, seed: 3, easyShare: 0.5 }))
  expect(grpo!.directory).toBe(join('/c', 'cells', 's-0.5', 'grpo', 'seed-3'))
  expect({ ...grpo!.config, settings: { ...grpo!.config!.settings, recipe: null } }).toEqual({
    ...axpo!.config,
    settings: { ...axpo!.config!.settings, recipe: null },
  })
  expect(grpo!.milestones).toEqual(axpo!.milestones)
  expect(startJob('/c', madeUpPlan, 0.5)).toMatchObject({ config: null, milestones: [{ step: 0 }] })
  expect(evaluationPlan(madeUpPlan, 'unseen', 0.5).families).toEqual(['image_search'])
})

test('every recipe can be compared', () => {
  for (const recipe of Object.keys(recipes)) {
    const job = cellJob('/c', madeUpPlan, { recipe, seed: 1, easyShare: 0 })
    expect(job.config!.settings.recipe.name).toBe(recipe)
  }
  expect(rolloutsAStep(recipes.grpo, { questions: 16 })).toBe(128)
  expect(rolloutsAStep(recipes.axpo, { questions: 16 })).toBeNull()
})

test('a plan is read back as it was written, and refused with what would be right', () => {
  const directory = mkdtempSync(join(tmpdir(), 'axpo-compare-plan-'))
  savePlan(directory, madeUpPlan)
  expect(loadPlan(directory)).toEqual(madeUpPlan)
  writeFileSync(join(directory, 'compare-plan.json'), JSON.stringify({ ...madeUpPlan, steps: 0 }))
  expect(() => loadPlan(directory)).toThrow(/compare-plan.json: .*steps/s)
  rmSync(directory, { recursive: true })
  expect(() => loadPlan(directory)).toThrow(/without compare-plan.json/)

  const refused = (change: Partial<typeof madeUpPlan>) => () => checkPlan({ ...madeUpPlan, ...change })
  expect(refused({ recipes: ['grpo', 'grpo'] })).toThrow(/--recipes must name each value once, got grpo twice/)
  expect(refused({ easyShares: [0, 0.5, 0] })).toThrow(/--s must name each value once, got 0 twice/)
  expect(refused({ baseline: 'cispo' })).toThrow(/--baseline must be one of --recipes \(grpo, axpo\), got cispo/)
  expect(refused({ baseline: 'axpo', equalRollouts: true })).toThrow(/same rollouts every step, got axpo/)
  expect(refused({ recipes: ['grpo', 'ppo'] })).toThrow(/unknown name "ppo"/)
  const parts = (miniBatches: number) => ({
    recipes: ['grpo', 'parts'],
    ownRecipes: [{ ...recipes.grpo, name: 'parts', miniBatches }],
  })
  expect(refused(parts(3))).toThrow(/recipe parts: miniBatches must be at most the questions of a step, got 3 for 2/)
  expect(refused(parts(2))).not.toThrow()
})

test('right means the same for every recipe of a comparison: from the highest threshold of theirs on', () => {
  const own = [{ ...recipes.grpo, name: 'half', rewardThreshold: 0.5 }]
  const thresholdOf = (names: string[]) =>
    evaluationPlan({ ...madeUpPlan, recipes: names, ownRecipes: own }, 'test', 0.5).rewardThreshold
  expect(thresholdOf(['half'])).toBe(0.5)
  expect(thresholdOf(['half', 'grpo'])).toBeUndefined()
  // as it was before there were thresholds: evaluations on disk stay valid
  expect(Object.keys(evaluationPlan(madeUpPlan, 'test', 0.5)).sort()).toEqual(Object.keys(defaultEvaluation).sort())
})

test('the list of settings is frozen: a new one needs its reason here', () => {
  expect(Object.keys(madeUpPlan).sort()).toEqual(
    [
      'baseline',
      'checkpoint',
      'checkpointSha256',
      'device',
      'easyShares',
      'equalRollouts',
      'evalEvery',
      'evalQuestions',
      'formatVersion',
      'learningRate',
      'questions',
      'recipes',
      'samples',
      'seeds',
      'steps',
      'suite',
      'unseenQuestions',
      'validationQuestions',
    ].sort(),
  )
})
