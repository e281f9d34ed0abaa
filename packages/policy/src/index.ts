export { type Agreement, rankingAgreement } from './agreement.ts'
export { type Diagnostics, type DiagnosticsInput, diagnose, distinctCalls } from './diagnostics.ts'
export { triggeredSources, uncertainty } from './forks.ts'
export { type KlEstimator, klEstimators, klTerm } from './kl.ts'
export { type SequenceLoss, sequenceLoss } from './loss.ts'
export { type StepPart, splitMiniBatches } from './mini-batches.ts'
export { extendRecipe } from './own-recipe.ts'
export {
  checkRecipe,
  type LossSettings,
  parseRecipe,
  type Recipe,
  type RecipeSettings,
  recipeDefaults,
  settingsOf,
} from './recipe.ts'
export { findRecipe, type RecipeName, recipes } from './recipes.ts'
export {
  firstAct,
  groupByQuestion,
  prefixTokenCount,
  promptTokenCount,
  type Rollout,
  type RolloutSegment,
} from './rollout.ts'
export { planSampling, type SampledStep, type SampleJob, type StepKey, settleSampling } from './sampling.ts'
export { allotContinuations, prefixBudget, type ResamplePlan, selectPrefixes, spendBreadthFirst } from './selection.ts'
export { type LossInput, type LossPlan, planLoss, type SequenceWeights, shapedReward } from './weights.ts'
