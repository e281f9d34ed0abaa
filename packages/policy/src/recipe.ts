/**
 * A recipe is a flat set of settings, the same for every method: what differs between them is data. Not here: the named recipes (recipes.ts).
 * Equation and section numbers: arXiv 2605.28774. Each field gives its unit, default and reason; a test freezes the list.
 */
import { type KlEstimator, klEstimators } from './kl.ts'

/** Those that the loss of a sequence reads (loss.ts). */
export interface LossSettings {
  /** The ratio is clipped to [1 - clipLow, 1 + clipHigh]; fractions. Defaults 0.2 and 0.4: the paper. */
  readonly clipLow: number
  readonly clipHigh: number
  /** beta of the KL term against the SFT model; loss a nat. Default 1e-3: the paper. */
  readonly klWeight: number
  /** Token surrogate: PPO's clip, CISPO's clipped weight on log-probabilities, GSPO's clip on the sequence's ratio. Default ppo: the paper. */
  readonly surrogate?: 'ppo' | 'cispo' | 'gspo'
  /** c of the dual clip: a token of negative advantage costs at most c |A| (verl: clip_ratio_c, 3 there); a ratio above 1, 0: off. Default 0: Eq. 6 has none. */
  readonly dualClip?: number
  /** The unclipped side of the surrogate takes the ratio up to here (TRL: delta); a ratio of at least 1, 0: off. Default 0: Eq. 6 has none. */
  readonly ratioCap?: number
  /** Which estimate of the KL the loss has; kl.ts. Default k3: Eq. 6. */
  readonly klEstimator?: KlEstimator
  /** Entropy of the trained tokens, aggregated as the loss is, is added to the objective so many times (verl: entropy_coeff, TRL: entropy_coef); loss a nat. Default 0: the paper. */
  readonly entropyBonus?: number
}

export interface RecipeSettings extends LossSettings {
  /** N, rollouts a question; count. Default 8: the paper. */
  readonly rollouts: number
  /** K, continuations a selected prefix; count. Default 4: the paper. */
  readonly continuations: number
  /** rho_b, continuations of a step as a fraction of its rollouts; 0 is plain GRPO. Default 0.25: the paper. */
  readonly budget: number
  /** Which fork first: lowest mean probability of the tokens that would be sampled again, highest mean entropy, or at random. Default mean-probability: the paper. */
  readonly ranking: 'mean-probability' | 'entropy' | 'random'
  /** Whether the prefix gets the recovery reward (Eq. 3 and 4); without it, it keeps GRPO's value. Default true: the paper. */
  readonly prefixCredit: boolean
  /** Whether continuations are normalised among themselves (Eq. 2) or joined to the question's group. Default true: the paper. */
  readonly separateGroups: boolean
  /** Added to the reward of tool-using rollouts; reward units, negative: a penalty. Default 0. */
  readonly toolBonus: number
  /**
   * 'sequence-mean': mean over the trained tokens of each rollout, 1/N each (Eq. 6, the default). 'token-mean': one mean over all trained tokens of an update (DAPO).
   * 'token-sum': their plain sum (verl).
   */
  readonly aggregation: 'sequence-mean' | 'token-mean' | 'token-sum'
  /** Delta degrees of freedom of the group's standard deviation; count. Default 1: verl, which the paper built on. */
  readonly ddof: 0 | 1
  /** Added to the standard deviation; reward units. Default 1e-6: verl. */
  readonly epsilon: number
  /** 'group' divides by the standard deviation, 'none' only centres (Dr. GRPO). Default group. */
  readonly scale: 'group' | 'none'
  /**
   * Where continuations fork. Default call. A rollout is a source when it used a tool and no tool-using rollout of its question is right:
   * - call: after the opening tag of its first tool call (the paper);
   * - any-call: after the opening tag of its most uncertain tool call;
   * - call-or-answer: as call; and no-tool rollouts, where all of a question's are wrong, after their thinking;
   * - prompt: nothing of the source is kept.
   *
   * - observation (ARPO): any rollout, whatever its reward, after a tool's answer where entropy has risen. Branches are ordinary rollouts that
   *   share a start: they train all of their tokens, and so does the source.
   */
  readonly forkAt?: 'call' | 'any-call' | 'call-or-answer' | 'prompt' | 'observation'
  /** Spread the continuations that the budget allows over the forks there are: 2 to 2 K each instead of K. Default false: the paper. */
  readonly adaptiveContinuations?: boolean
  /** A rollout is right from this reward on (trigger, recovery); reward units. Default 1: rewards of 0 and 1. */
  readonly rewardThreshold?: number
  /** Times that questions whose rollouts all got the same reward are replaced by fresh ones (DAPO's dynamic sampling); count. Default 0. */
  readonly refillRounds?: number
  /** With sequence-mean: what each rollout's token sum is divided by, such as the response limit (Dr. GRPO); tokens, 0: its own trained tokens. Default 0: the paper. */
  readonly constantLength?: number
  /** Parts that a step's questions are split into, one optimiser update each (verl: train_batch_size / ppo_mini_batch_size); count. Default 1: the paper names no other. */
  readonly miniBatches?: number
  /** Passes over a step's rollouts, each of miniBatches updates (verl: ppo_epochs, TRL: num_iterations); count. Default 1: verl, TRL; the paper names no other. */
  readonly epochs?: number
  /**
   * Weight of a selected prefix's whole L_AXPO (Eq. 5: the prefix and each of its continuations) in units of an ordinary rollout's, which is 1/N; above 0. It multiplies
   * the weights of those tokens whatever the aggregation. Default 1: ours, the paper gives none.
   */
  readonly prefixWeight?: number
  /** Which questions the budget reaches first, in every round: those with the most uncertain best fork, or in the order of the batch. Default uncertainty: ours, the paper gives none. */
  readonly questionOrder?: 'uncertainty' | 'batch'
}

/** Settings under the name that run folders and tables know them by. */
export interface Recipe extends RecipeSettings {
  readonly name: string
}

/** The settings that every run's configuration holds. */
export const writtenDefaults: RecipeSettings = {
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

/** What a recipe does not set. The optional fields came later: a run's configuration written before them stays readable. */
export const recipeDefaults = {
  ...writtenDefaults,
  forkAt: 'call',
  adaptiveContinuations: false,
  rewardThreshold: 1,
  refillRounds: 0,
  constantLength: 0,
  surrogate: 'ppo',
  miniBatches: 1,
  epochs: 1,
  dualClip: 0,
  ratioCap: 0,
  klEstimator: 'k3',
  entropyBonus: 0,
  prefixWeight: 1,
  questionOrder: 'uncertainty',
} as const satisfies Required<RecipeSettings>

/** All settings of a recipe, defaults filled in. */
export function settingsOf(recipe: Recipe): Required<Recipe> {
  return { ...recipeDefaults, ...recipe }
}

type Rule = readonly [holds: (value: never) => boolean, rule: string]

const oneOf = (...values: readonly (string | number)[]): Rule => [
  (v: string | number) => values.includes(v),
  `must be one of: ${values.join(', ')}`,
]
const count = (least: number): Rule => [
  (v: number) => Number.isInteger(v) && v >= least,
  `must be an integer >= ${least}`,
]
const atLeastZero: Rule = [(v: number) => Number.isFinite(v) && v >= 0, 'must be >= 0']
const finite: Rule = [(v: number) => Number.isFinite(v), 'must be a finite number']
const flag: Rule = [(v: unknown) => typeof v === 'boolean', 'must be true or false']

const offOr = (holds: (v: number) => boolean, rule: string): Rule => [
  (v: number) => Number.isFinite(v) && (v === 0 || holds(v)),
  `must be 0 (off) or ${rule}`,
]

const rules: Readonly<Record<keyof Recipe, Rule>> = {
  name: [(v: unknown) => typeof v === 'string' && v !== '', 'must be a text that is not empty'],
  rollouts: count(1),
  continuations: count(1),
  budget: atLeastZero,
  ranking: oneOf('mean-probability', 'entropy', 'random'),
  prefixCredit: flag,
  separateGroups: flag,
  toolBonus: finite,
  clipLow: [(v: number) => Number.isFinite(v) && v >= 0 && v <= 1, 'must lie in [0, 1]'],
  clipHigh: atLeastZero,
  klWeight: atLeastZero,
  aggregation: oneOf('sequence-mean', 'token-mean', 'token-sum'),
  ddof: oneOf(0, 1),
  epsilon: atLeastZero,
  scale: oneOf('group', 'none'),
  forkAt: oneOf('call', 'any-call', 'call-or-answer', 'prompt', 'observation'),
  adaptiveContinuations: flag,
  rewardThreshold: finite,
  refillRounds: count(0),
  constantLength: atLeastZero,
  surrogate: oneOf('ppo', 'cispo', 'gspo'),
  miniBatches: count(1),
  epochs: count(1),
  dualClip: offOr((v) => v > 1, 'more than 1'),
  ratioCap: offOr((v) => v >= 1, 'at least 1'),
  klEstimator: oneOf(...klEstimators),
  entropyBonus: finite,
  prefixWeight: [(v: number) => Number.isFinite(v) && v > 0, 'must be above 0'],
  questionOrder: oneOf('uncertainty', 'batch'),
}

/** The names of all settings. */
export const settingNames = Object.keys(rules).filter((field) => field !== 'name')

const shown = (value: unknown): string =>
  typeof value === 'number' ? `${value}` : (JSON.stringify(value) ?? `${value}`)

/** Settings that contradict each other: which, and what to do. */
function contradiction(recipe: Required<Recipe>): string | null {
  const { toolBonus, budget, surrogate, dualClip, ratioCap, prefixWeight, forkAt } = recipe
  if (toolBonus !== 0 && budget > 0)
    return `toolBonus and budget do not combine, got ${toolBonus} and ${budget}. Set one of them to 0.`
  if (surrogate === 'cispo' && (dualClip !== 0 || ratioCap !== 0))
    return `dualClip and ratioCap have no meaning for cispo, whose ratio is a bounded constant, got ${dualClip} and ${ratioCap}. Set them to 0, or bound the ratio by clipHigh.`
  if (prefixWeight !== 1 && forkAt === 'observation')
    return `prefixWeight has no meaning with forkAt observation, whose branches are ordinary rollouts of the group, got ${prefixWeight}. Set it to 1.`
  return null
}

/** Throws on a value outside its range and on settings that contradict each other. */
export function checkRecipe(recipe: Recipe): void {
  const settings = settingsOf(recipe)
  for (const [field, value] of Object.entries(settings)) {
    const [holds, rule] = Object.hasOwn(rules, field)
      ? rules[field as keyof Recipe]
      : ([() => false, 'is not a setting'] as const)
    if (!holds(value as never))
      throw new Error(`recipe ${recipe.name}: ${field} ${rule}, got ${shown(value)}. Correct it there.`)
  }
  const found = contradiction(settings)
  if (found !== null) throw new Error(`recipe ${recipe.name}: ${found}`)
}

/** A recipe from JSON, such as a run's configuration. Fields that came later than the file take their defaults. */
export function parseRecipe(value: unknown): Recipe {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Error(`recipe: must be an object, got ${JSON.stringify(value)}.`)
  const recipe = value as Recipe
  checkRecipe(recipe)
  return recipe
}
