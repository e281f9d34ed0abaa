export { type Diagnostics, type DiagnosticsInput, diagnose, distinctCalls } from './diagnostics.ts'
export { type SequenceLoss, sequenceLoss } from './loss.ts'
export { checkRecipe, findRecipe, type Recipe, type RecipeName, recipes } from './recipe.ts'
export { firstAct, groupByQuestion, prefixTokenCount, type Rollout, type RolloutSegment } from './rollout.ts'
export {
  prefixBudget,
  type ResamplePlan,
  selectPrefixes,
  spendBreadthFirst,
  triggeredSources,
  uncertainty,
} from './selection.ts'
export { type LossInput, type LossPlan, planLoss, type SequenceWeights, shapedReward } from './weights.ts'
