/**
 * Every named recipe, as what it changes in the defaults (recipe.ts): the paper's method, its baselines and ablations (its section 5), and options beyond it.
 * A new one is one entry here. Sources in README.md. Text feedback (RLTF) is left out: README.md says why.
 */
import { type Recipe, type RecipeSettings, writtenDefaults } from './recipe.ts'

const grpo = { budget: 0 } as const

const deltas = {
  axpo: {},
  grpo,

  // baselines of the paper
  'grpo-tool-bonus': { ...grpo, toolBonus: 0.1 },
  'grpo-tool-penalty': { ...grpo, toolBonus: -0.1 },
  'grpo-2x': { ...grpo, rollouts: 16 },
  cispo: { ...grpo, surrogate: 'cispo', clipLow: 1, clipHigh: 4, aggregation: 'token-mean', klWeight: 0 },
  arpo: { forkAt: 'observation', ranking: 'entropy', continuations: 1, prefixCredit: false, separateGroups: false },

  // ablations of the paper
  'axpo-scratch': { forkAt: 'prompt' },
  'axpo-no-tool-too': { forkAt: 'call-or-answer' },
  'axpo-random': { ranking: 'random' },
  'axpo-no-credit': { prefixCredit: false },
  'axpo-joint': { separateGroups: false },

  // baselines users expect
  // 192 tokens: four turns of 48, the agent's limit
  'dr-grpo': { ...grpo, scale: 'none', constantLength: 192, clipHigh: 0.2, klWeight: 0 },
  gspo: { ...grpo, surrogate: 'gspo', clipLow: 3e-4, clipHigh: 4e-4, klWeight: 0 },
  'grpo-dynamic': { ...grpo, refillRounds: 3 },

  // beyond the paper
  'axpo-entropy': { ranking: 'entropy' },
  'axpo-any-call': { forkAt: 'any-call' },
  'axpo-adaptive': { adaptiveContinuations: true },
  'axpo-graded': { rewardThreshold: 0.5 },
} as const satisfies Record<string, Partial<RecipeSettings>>

export type RecipeName = keyof typeof deltas

export const recipes = Object.fromEntries(
  Object.entries(deltas).map(([name, delta]) => [name, { name, ...writtenDefaults, ...delta }]),
) as Readonly<Record<RecipeName, Recipe>>

export function findRecipe(name: string): Recipe {
  const recipe = (recipes as Record<string, Recipe>)[name]
  if (!recipe) throw new Error(`recipe: unknown name "${name}". Choose one of: ${Object.keys(recipes).join(', ')}.`)
  return recipe
}
