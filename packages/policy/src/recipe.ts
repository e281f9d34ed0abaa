/** A recipe is a flat set of settings; GRPO and AXPO differ only here. Equation and section numbers: arXiv 2605.28774. */

export interface Recipe {
  readonly name: string
  /** N, rollouts a question. The paper: 8. */
  readonly rollouts: number
  /** K, continuations a selected prefix. The paper: 4. */
  readonly continuations: number
  /** rho_b, extra rollouts as a fraction of the batch's; 0 is GRPO. The paper: 0.25. */
  readonly budget: number
  /** Which prefix first: lowest mean probability of the tool call's tokens (the paper), highest mean entropy over them, or at random. */
  readonly ranking: 'mean-probability' | 'entropy' | 'random'
  /** Whether the prefix gets the recovery reward (Eq. 3 and 4); without it, it keeps GRPO's value. */
  readonly prefixCredit: boolean
  /** Whether continuations are normalised among themselves (Eq. 2) or joined to the question's group. */
  readonly separateGroups: boolean
  /** Added to the reward of tool-using rollouts; negative: a penalty. */
  readonly toolBonus: number
  /** Ratio is clipped to [1 - clipLow, 1 + clipHigh]. DAPO's asymmetric range, as in the paper. */
  readonly clipLow: number
  readonly clipHigh: number
  /** beta of the KL term against the SFT model (k3 estimator). The paper: 1e-3. */
  readonly klWeight: number
  /** 'sequence-mean': mean over the trained tokens of each rollout, 1/N each (Eq. 6). 'token-mean': one mean over all trained tokens of the batch (DAPO). */
  readonly aggregation: 'sequence-mean' | 'token-mean'
  /** Delta degrees of freedom and epsilon of the group's standard deviation; verl's, which the paper built on. */
  readonly ddof: 0 | 1
  readonly epsilon: number
  /** 'group' divides by the standard deviation, 'none' only centres. */
  readonly scale: 'group' | 'none'
}

const axpo: Recipe = {
  name: 'axpo',
  rollouts: 8,
  continuations: 4,
  budget: 0.25,
  ranking: 'mean-probability',
  prefixCredit: true,
  separateGroups: true,
  toolBonus: 0,
  clipLow: 0.2,
  clipHigh: 0.4,
  klWeight: 1e-3,
  aggregation: 'sequence-mean',
  ddof: 1,
  epsilon: 1e-6,
  scale: 'group',
}

export const recipes = {
  axpo,
  grpo: { ...axpo, name: 'grpo', budget: 0 },
  'grpo-tool-bonus': { ...axpo, name: 'grpo-tool-bonus', budget: 0, toolBonus: 0.1 },
  'grpo-tool-penalty': { ...axpo, name: 'grpo-tool-penalty', budget: 0, toolBonus: -0.1 },
  'axpo-random': { ...axpo, name: 'axpo-random', ranking: 'random' },
  'axpo-entropy': { ...axpo, name: 'axpo-entropy', ranking: 'entropy' },
  'axpo-no-credit': { ...axpo, name: 'axpo-no-credit', prefixCredit: false },
  'axpo-joint': { ...axpo, name: 'axpo-joint', separateGroups: false },
} as const satisfies Record<string, Recipe>

export type RecipeName = keyof typeof recipes

export function findRecipe(name: string): Recipe {
  const recipe = (recipes as Record<string, Recipe>)[name]
  if (!recipe) throw new Error(`recipe: unknown name "${name}". Choose one of: ${Object.keys(recipes).join(', ')}.`)
  return recipe
}

export function checkRecipe(recipe: Recipe): void {
  const rules: [boolean, string, unknown][] = [
    [Number.isInteger(recipe.rollouts) && recipe.rollouts >= 1, 'rollouts must be an integer >= 1', recipe.rollouts],
    [
      Number.isInteger(recipe.continuations) && recipe.continuations >= 1,
      'continuations must be an integer >= 1',
      recipe.continuations,
    ],
    [recipe.budget >= 0 && Number.isFinite(recipe.budget), 'budget must be >= 0', recipe.budget],
    [recipe.clipLow >= 0 && recipe.clipLow < 1, 'clipLow must lie in [0, 1)', recipe.clipLow],
    [recipe.clipHigh >= 0, 'clipHigh must be >= 0', recipe.clipHigh],
    [recipe.klWeight >= 0, 'klWeight must be >= 0', recipe.klWeight],
    [recipe.epsilon >= 0, 'epsilon must be >= 0', recipe.epsilon],
  ]
  for (const [holds, rule, got] of rules) if (!holds) throw new Error(`recipe ${recipe.name}: ${rule}, got ${got}.`)
}
