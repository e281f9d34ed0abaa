/** Reads a comparison's cells. Needs metrics.jsonl, spent.jsonl, the timings and evaluations/ of each cell, nothing else of it. Not here: statistics. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { QuestionCounts } from '@axpo/eval'
import { evaluationPath, loadCounts } from './compare-evaluation.ts'
import {
  type CellJob,
  type ComparePlan,
  cellJob,
  type EvaluationName,
  evaluationNames,
  recipeOf,
  rolloutsAStep,
  startJob,
} from './compare-plan.ts'
import { loadSeconds, loadSpent, type StepSpent } from './compare-spent.ts'
import type { StepMetrics } from './rl-step.ts'
import { loadMetrics } from './train.ts'

/** A finished cell. */
export interface Cell {
  readonly recipe: string
  readonly seed: number
  readonly easyShare: number
  readonly metrics: readonly StepMetrics[]
  readonly spent: readonly StepSpent[]
  readonly evaluations: ReadonlyMap<EvaluationName, ReadonlyMap<number, readonly QuestionCounts[]>>
  /** Wall time: of each step, of all evaluations. */
  readonly seconds: { readonly train: readonly number[]; readonly evaluate: number }
}

/** All cells of one s. */
export interface Group {
  readonly easyShare: number
  readonly start: Cell['evaluations']
  /** Seeds that every recipe has finished. */
  readonly seeds: readonly number[]
  /** By recipe, in the order of `seeds`. */
  readonly cells: ReadonlyMap<string, readonly Cell[]>
  /** Steps of the baseline at which it has spent a recipe's rollouts, by recipe, in the order of `seeds`; null where that was not asked for or cannot be. */
  readonly equalSteps: ReadonlyMap<string, readonly number[]>
}

function loadEvaluations(job: CellJob): Cell['evaluations'] {
  const { directory, checkpointSha256 } = job
  const found = new Map<EvaluationName, Map<number, QuestionCounts[]>>(evaluationNames.map((n) => [n, new Map()]))
  for (const { step, evaluations } of job.milestones)
    for (const { name, plan } of evaluations) {
      const counts = loadCounts(evaluationPath(directory, step, name), { step, checkpointSha256, plan })
      if (counts) found.get(name)!.set(step, counts)
    }
  return found
}

/** Rollouts spent in the first `steps` steps. */
export function rolloutsSpent(spent: readonly StepSpent[], steps: number): number {
  return spent.slice(0, steps).reduce((sum, s) => sum + s.rollouts, 0)
}

/** Steps that the baseline needs to spend what each other recipe of this seed did, by recipe; recipes that spent less than the baseline are left out. */
export function equalRolloutSteps(
  directory: string,
  plan: ComparePlan,
  seed: number,
  easyShare: number,
): Map<string, number> {
  const found = new Map<string, number>()
  const aStep = rolloutsAStep(recipeOf(plan, plan.baseline), plan)
  if (!plan.equalRollouts || aStep === null) return found
  for (const recipe of plan.recipes) {
    if (recipe === plan.baseline) continue
    const spent = loadSpent(cellJob(directory, plan, { recipe, seed, easyShare }).directory)
    const steps = Math.ceil(rolloutsSpent(spent, plan.steps) / aStep)
    if (spent.length >= plan.steps && steps >= plan.steps) found.set(recipe, steps)
  }
  return found
}

/** The cell's job, for the baseline with the steps it needs for equal rollouts. */
export function jobOf(
  directory: string,
  plan: ComparePlan,
  cell: { readonly recipe: string; readonly seed: number; readonly easyShare: number },
  keepTrajectories = false,
): CellJob {
  const { recipe, seed, easyShare } = cell
  const further = recipe === plan.baseline ? [...equalRolloutSteps(directory, plan, seed, easyShare).values()] : []
  return cellJob(directory, plan, cell, further, keepTrajectories)
}

/** Earlier versions wrote a KL of 0 for recipes that do not weigh it: the SFT model was not asked. */
function measured(plan: ComparePlan, recipe: string, metrics: readonly StepMetrics[]): readonly StepMetrics[] {
  return recipeOf(plan, recipe).klWeight > 0 ? metrics : metrics.map((m) => ({ ...m, klNats: null }))
}

/** Null where it is not finished. */
function loadCell(
  directory: string,
  plan: ComparePlan,
  cell: { readonly recipe: string; readonly seed: number; readonly easyShare: number },
): Cell | null {
  const job = jobOf(directory, plan, cell)
  const { directory: folder } = job
  if (!existsSync(join(folder, 'metrics.jsonl'))) return null
  const evaluations = loadEvaluations(job)
  const whole = job.milestones.every((m) => m.evaluations.every(({ name }) => evaluations.get(name)!.has(m.step)))
  if (!whole) return null
  return {
    ...cell,
    metrics: measured(plan, cell.recipe, loadMetrics(folder)),
    spent: loadSpent(folder),
    evaluations,
    seconds: loadSeconds(folder),
  }
}

function loadGroup(directory: string, plan: ComparePlan, easyShare: number): Group {
  const start = loadEvaluations(startJob(directory, plan, easyShare))
  const bySeed = plan.seeds.map((seed) =>
    plan.recipes.map((recipe) => loadCell(directory, plan, { recipe, seed, easyShare })),
  )
  const whole = bySeed.flatMap((cells, i) => (cells.every((c) => c !== null) ? [i] : []))
  const seeds = whole.map((i) => plan.seeds[i]!)
  const targets = seeds.map((seed) => equalRolloutSteps(directory, plan, seed, easyShare))
  return {
    easyShare,
    start,
    seeds: start.get('test')!.has(0) ? seeds : [],
    cells: new Map(plan.recipes.map((recipe, r) => [recipe, whole.map((i) => bySeed[i]![r]!)])),
    equalSteps: new Map(
      plan.recipes
        .filter((recipe) => targets.length > 0 && targets.every((t) => t.has(recipe)))
        .map((recipe) => [recipe, targets.map((t) => t.get(recipe)!)]),
    ),
  }
}

/** The groups in order of s. A group without a whole seed has none; throws when no group has one. */
export function loadGroups(directory: string, plan: ComparePlan): Group[] {
  const groups = plan.easyShares.map((easyShare) => loadGroup(directory, plan, easyShare))
  if (groups.every((g) => g.seeds.length === 0))
    throw new Error(
      `compare: ${directory} must hold a seed that every recipe (${plan.recipes.join(', ')}) has finished, got none. Run the comparison further.`,
    )
  return groups.filter((g) => g.seeds.length > 0)
}
