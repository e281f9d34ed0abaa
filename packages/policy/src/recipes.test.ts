import { readFileSync } from 'node:fs'
import { type Advantage, loadAdvantage } from '@axpo/advantage'
import { beforeAll, expect, test } from 'vitest'
import { checkRecipe, parseRecipe, prefixBudget, type Recipe, recipeDefaults, recipes, settingsOf } from './index.ts'
import { runToy, toyLearningRate } from './toy/index.ts'

let advantage: Advantage
beforeAll(async () => {
  advantage = await loadAdvantage()
})

test('the recipes of the paper and of its field, and what each changes in the defaults; a new one does not have to be added here', () => {
  const deltas = Object.fromEntries(
    Object.entries(recipes).map(([name, recipe]) => {
      const changed = Object.entries(settingsOf(recipe)).filter(
        ([field, value]) => field !== 'name' && recipeDefaults[field as keyof typeof recipeDefaults] !== value,
      )
      expect(recipe.name).toBe(name)
      return [name, Object.fromEntries(changed)]
    }),
  )
  const listed: Record<string, Partial<Recipe>> = {
    axpo: {},
    grpo: { budget: 0 },
    'grpo-tool-bonus': { budget: 0, toolBonus: 0.1 },
    'grpo-tool-penalty': { budget: 0, toolBonus: -0.1 },
    'grpo-2x': { budget: 0, rollouts: 16 },
    cispo: { budget: 0, surrogate: 'cispo', clipLow: 1, clipHigh: 4, aggregation: 'token-mean', klWeight: 0 },
    arpo: { forkAt: 'observation', ranking: 'entropy', continuations: 1, prefixCredit: false, separateGroups: false },
    'axpo-scratch': { forkAt: 'prompt' },
    'axpo-no-tool-too': { forkAt: 'call-or-answer' },
    'axpo-random': { ranking: 'random' },
    'axpo-no-credit': { prefixCredit: false },
    'axpo-joint': { separateGroups: false },
    'dr-grpo': { budget: 0, scale: 'none', constantLength: 192, clipHigh: 0.2, klWeight: 0 },
    gspo: { budget: 0, surrogate: 'gspo', clipLow: 3e-4, clipHigh: 4e-4, klWeight: 0 },
    'grpo-dynamic': { budget: 0, refillRounds: 3 },
    'axpo-entropy': { ranking: 'entropy' },
    'axpo-any-call': { forkAt: 'any-call' },
    'axpo-adaptive': { adaptiveContinuations: true },
    'axpo-graded': { rewardThreshold: 0.5 },
  }
  for (const [name, delta] of Object.entries(listed)) expect(deltas[name]).toEqual(delta)
})

test('the table in README.md names recipes only', () => {
  const page = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const table = page.slice(page.indexOf('## Recipes'), page.indexOf('Where the ratio is 1'))
  const named = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`([^`]+)`/g)])
  expect(named.length).toBeGreaterThan(15)
  expect(Object.keys(recipes)).toEqual(expect.arrayContaining(named.map(([, name]) => name)))
})

test('the settings are frozen: twenty-eight, beside the name', () => {
  expect(Object.keys(recipeDefaults)).toEqual([
    'rollouts',
    'continuations',
    'budget',
    'ranking',
    'prefixCredit',
    'separateGroups',
    'toolBonus',
    'clipLow',
    'clipHigh',
    'klWeight',
    'aggregation',
    'ddof',
    'epsilon',
    'scale',
    'forkAt',
    'adaptiveContinuations',
    'rewardThreshold',
    'refillRounds',
    'constantLength',
    'surrogate',
    'miniBatches',
    'epochs',
    'dualClip',
    'ratioCap',
    'klEstimator',
    'entropyBonus',
    'prefixWeight',
    'questionOrder',
  ])
})

test('a configuration written before the later settings is the same recipe, in the same bytes', () => {
  const written =
    '{"name":"grpo","rollouts":8,"continuations":4,"budget":0,"ranking":"mean-probability","prefixCredit":true,"separateGroups":true,"toolBonus":0,' +
    '"clipLow":0.2,"clipHigh":0.4,"klWeight":0.001,"aggregation":"sequence-mean","ddof":1,"epsilon":0.000001,"scale":"group"}'
  expect(JSON.stringify(recipes.grpo)).toBe(written)
  expect(JSON.stringify(recipes.axpo)).toBe(written.replace('"grpo"', '"axpo"').replace('"budget":0', '"budget":0.25'))
  expect(settingsOf(parseRecipe(JSON.parse(written)))).toEqual(settingsOf(recipes.grpo))
})

test('bad settings: which, the rule, the value', () => {
  const parse = (delta: Record<string, unknown>) => () => parseRecipe({ ...recipes.axpo, ...delta })
  expect(parse({ forkAt: 'act' })).toThrow(/recipe axpo: forkAt must be one of: call, any-call, .*, got "act"\./)
  expect(parse({ rollouts: 2.5 })).toThrow(/rollouts must be an integer >= 1, got 2\.5/)
  expect(parse({ klWeight: '1' })).toThrow(/klWeight must be >= 0, got "1"/)
  expect(parse({ clipLow: 1.5 })).toThrow(/clipLow must lie in \[0, 1\]/)
  expect(parse({ budgte: 1 })).toThrow(/budgte is not a setting, got 1/)
  expect(parse({ prefixCredit: 1 })).toThrow(/prefixCredit must be true or false/)
  expect(() => parseRecipe([])).toThrow(/must be an object, got \[\]/)
  expect(() => checkRecipe({ ...recipes.axpo, toolBonus: 0.1 })).toThrow(/toolBonus and budget do not combine/)
})

test.each(Object.values(recipes))('$name: two steps in the toy world', (recipe: Recipe) => {
  checkRecipe(recipe)
  let steps = 0
  // a sum over a step's tokens is some hundred times their mean
  const learningRate = recipe.aggregation === 'token-sum' ? toyLearningRate / 500 : toyLearningRate
  const settings = { recipe, seed: 3, steps: 2, guess: 0.4, updates: 2, learningRate }
  const run = runToy(advantage, settings, ({ rollouts, plan, continuations, dropped }, lossPlan) => {
    steps++
    // refills may not find enough questions that teach something
    if (recipe.refillRounds) expect(rollouts.length % recipe.rollouts).toBe(0)
    else expect([rollouts.length, dropped.length]).toEqual([16 * recipe.rollouts, 0])
    expect(plan.length > 0).toBe(prefixBudget(rollouts.length, recipe) > 0)
    expect(continuations.length).toBeLessThanOrEqual(recipe.budget * rollouts.length)
    expect(lossPlan.trainedTokens).toBeGreaterThan(0)
  })
  expect(steps).toBe(2)
  const [first, , last] = run.curve
  expect(last!.toolRate).not.toBe(first!.toolRate)
})
