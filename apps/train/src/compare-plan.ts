/**
 * What a comparison runs, as data: which cells (recipe x seed x s) there are, where each stands on disk, what it trains and evaluates, and when. Pure but for
 * reading and writing the plan's file. Not here: running a cell (compare-cell.ts), reading results (compare-read.ts).
 *
 *   compare-plan.json                     this plan
 *   cells/s-0.5/start/                    the SFT checkpoint, evaluated once a setting
 *   cells/s-0.5/axpo/seed-1/              a run folder (run-folder.ts); its trajectories are counted into spent.jsonl and dropped
 *   cells/.../evaluations/step-000020-validation.json
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defaultEvaluation, type EvaluationPlan, type UserFiles, userFilesOf } from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { findRecipe, type Recipe, settingsOf } from '@axpo/policy'
import { heldOutFamilies } from '@axpo/tasks'
import * as z from 'zod'
import { recipeSchema } from './recipe-file.ts'
import { readJson } from './run-folder.ts'
import { type RunConfig, rlSettings, userFilesShape } from './train.ts'
import { checkMiniBatches } from './updates.ts'

const planSchema = z.strictObject({
  formatVersion: z.literal(1),
  suite: z.enum(['gapworld']),
  /** A user's questions, instead of the suite, set s themselves. */
  ...userFilesShape,
  /** Names; the first that is asked for stands first in every table. */
  recipes: z.array(z.string()).min(1),
  /** Those of them that are the user's own, whole: the files are not read again. */
  ownRecipes: z.array(recipeSchema).exactOptional(),
  /** The recipe that the others are compared with. */
  baseline: z.string(),
  seeds: z.array(z.int().nonnegative()).min(1),
  /** s, share of items that need no tool: one group of the output each. */
  easyShares: z.array(z.number().min(0).max(1)).min(1),
  /** Optimiser steps. */
  steps: z.int().positive(),
  /** B, questions a step. */
  questions: z.int().positive(),
  learningRate: z.number().positive(),
  /** Steps between validations. */
  evalEvery: z.int().positive(),
  validationQuestions: z.int().positive(),
  /** Test questions, before and at the end. */
  evalQuestions: z.int().positive(),
  /** Test questions of the held-out family with its unseen tool; 0: none. */
  unseenQuestions: z.int().nonnegative(),
  /** Rollouts a question in every evaluation. */
  samples: z.int().positive(),
  /** Whether the baseline goes on until it has spent the rollouts of each other recipe. */
  equalRollouts: z.boolean(),
  device: z.enum(['auto', 'webgpu', 'cpu']),
  /** Folder where every cell starts. */
  checkpoint: z.string(),
  /** SHA-256 of its model.safetensors. */
  checkpointSha256: z.string(),
})
export type ComparePlan = z.infer<typeof planSchema>

/** A recipe of the comparison by its name. */
export function recipeOf(plan: Pick<ComparePlan, 'ownRecipes'>, name: string): Recipe {
  return plan.ownRecipes?.find((recipe) => recipe.name === name) ?? findRecipe(name)
}

export function checkPlan(plan: ComparePlan): void {
  const repeated = (values: readonly unknown[]) => values.find((v, i) => values.indexOf(v) !== i)
  for (const [flag, values] of [
    ['--recipes', plan.recipes],
    ['--s', plan.easyShares],
  ] as const) {
    const twice = repeated(values)
    if (twice !== undefined) throw new Error(`compare: ${flag} must name each value once, got ${twice} twice.`)
  }
  const recipes = plan.recipes.map((name) => recipeOf(plan, name))
  for (const recipe of recipes) checkMiniBatches(recipe, plan.questions)
  const baseline = recipes.find((r) => r.name === plan.baseline)
  if (!baseline)
    throw new Error(
      `compare: --baseline must be one of --recipes (${plan.recipes.join(', ')}), got ${plan.baseline}. Add it there.`,
    )
  if (plan.equalRollouts && rolloutsAStep(baseline, plan) === null)
    throw new Error(
      `compare: --equal-rollouts needs a baseline that spends the same rollouts every step, got ${plan.baseline}. Give another --baseline, such as grpo.`,
    )
}

/** Rollouts that a recipe spends in a step; null where that depends on the rollouts themselves. */
export function rolloutsAStep(recipe: Recipe, plan: Pick<ComparePlan, 'questions'>): number | null {
  return recipe.budget > 0 || (recipe.refillRounds ?? 0) > 0 ? null : recipe.rollouts * plan.questions
}

/** s of the headline comparison (benchmarks/evidence.ts), chosen on the map before any of its seeds: what `axpo compare` takes by default. */
export const headlineEasyShare = 0.38

/** First of its seeds, which `axpo compare` begins with by default: by itself it makes the first rows of the committed table again. */
export const headlineFirstSeed = 101

const planFile = 'compare-plan.json'

/** Writes a file beside its place and renames it: under its own name it is whole. */
export function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.part`, text)
  renameSync(`${path}.part`, path)
}

export function savePlan(directory: string, plan: ComparePlan): void {
  writeWhole(join(directory, planFile), `${JSON.stringify(plan, null, 2)}\n`)
}

export function loadPlan(directory: string): ComparePlan {
  const path = join(directory, planFile)
  if (!existsSync(path))
    throw new Error(`compare: --from needs the folder of a comparison, got ${directory} without ${planFile}.`)
  const parsed = planSchema.safeParse(readJson(path))
  if (!parsed.success)
    throw new Error(`${path}: ${z.prettifyError(parsed.error)}. It was not written by this version; compare again.`)
  checkPlan(parsed.data)
  return parsed.data
}

/** Validation is for curves, test for the tables; the unseen tool is offered in its own evaluation only. */
export const evaluationNames = ['validation', 'test', 'unseen'] as const
export type EvaluationName = (typeof evaluationNames)[number]

/** Reward from which on a rollout is right: the same for every recipe of a comparison, the highest of theirs. */
export function evaluationThreshold(plan: Pick<ComparePlan, 'recipes' | 'ownRecipes'>): number {
  return Math.max(...plan.recipes.map((name) => settingsOf(recipeOf(plan, name)).rewardThreshold))
}

export function evaluationPlan(plan: ComparePlan, name: EvaluationName, easyShare: number): EvaluationPlan {
  const rewardThreshold = evaluationThreshold(plan)
  const common = {
    ...defaultEvaluation,
    easyShare,
    samples: plan.samples,
    ...userFilesOf(plan),
    ...(rewardThreshold === 1 ? {} : { rewardThreshold }),
  }
  if (name === 'validation') return { ...common, split: 'validation', questions: plan.validationQuestions }
  if (name === 'test') return { ...common, split: 'test', questions: plan.evalQuestions }
  return { ...common, split: 'test', questions: plan.unseenQuestions, families: heldOutFamilies }
}

/** What is evaluated once so many steps are done. */
export interface Milestone {
  readonly step: number
  readonly evaluations: readonly { readonly name: EvaluationName; readonly plan: EvaluationPlan }[]
}

/** All that a process needs to run a cell, with the user's files where there are some. Plain data: it goes to a child process. */
export interface CellJob extends UserFiles {
  readonly label: string
  readonly directory: string
  readonly device: ComparePlan['device']
  readonly build?: CpuBuild
  readonly checkpoint: string
  readonly checkpointSha256: string
  /** Null: the checkpoint itself is evaluated. The device is filled in by the process that opens it. */
  readonly config: Omit<RunConfig, 'device'> | null
  /** In ascending steps. */
  readonly milestones: readonly Milestone[]
  /** Whether trajectories.msgpack stays (some 1 MB a step). */
  readonly keepTrajectories: boolean
}

/** Steps between checkpoints of a cell: what a kill costs at most. */
const checkpointEvery = 10

function milestone(plan: ComparePlan, step: number, easyShare: number, names: readonly EvaluationName[]): Milestone {
  const wanted = names.filter((name) => name !== 'unseen' || plan.unseenQuestions > 0)
  return { step, evaluations: wanted.map((name) => ({ name, plan: evaluationPlan(plan, name, easyShare) })) }
}

/** Steps at which a cell is validated, 0 left out. */
export function validationSteps(plan: Pick<ComparePlan, 'steps' | 'evalEvery'>): number[] {
  const steps: number[] = []
  for (let step = plan.evalEvery; step < plan.steps; step += plan.evalEvery) steps.push(step)
  return [...steps, plan.steps]
}

const groupDirectory = (directory: string, easyShare: number) => join(directory, 'cells', `s-${easyShare}`)

export function startJob(directory: string, plan: ComparePlan, easyShare: number): CellJob {
  return {
    label: `start s ${easyShare}`,
    directory: join(groupDirectory(directory, easyShare), 'start'),
    device: plan.device,
    checkpoint: plan.checkpoint,
    checkpointSha256: plan.checkpointSha256,
    config: null,
    milestones: [milestone(plan, 0, easyShare, evaluationNames)],
    ...userFilesOf(plan),
    keepTrajectories: false,
  }
}

/** `further`: steps past the plan's own at which the cell is also evaluated on the test split. */
export function cellJob(
  directory: string,
  plan: ComparePlan,
  cell: { readonly recipe: string; readonly seed: number; readonly easyShare: number },
  further: readonly number[] = [],
  keepTrajectories = false,
): CellJob {
  const { recipe, seed, easyShare } = cell
  const { checkpoint, checkpointSha256, learningRate, questions, steps } = plan
  const settings = rlSettings(recipeOf(plan, recipe), {
    seed,
    easyShare,
    learningRate,
    ...userFilesOf(plan),
  })
  const own = validationSteps(plan).map((step) =>
    milestone(plan, step, easyShare, step === steps ? evaluationNames : ['validation']),
  )
  const more = [...new Set(further)]
    .filter((step) => step > steps)
    .sort((a, b) => a - b)
    .map((step) => milestone(plan, step, easyShare, ['test', 'unseen']))
  return {
    label: `${recipe} s ${easyShare} seed ${seed}`,
    directory: join(groupDirectory(directory, easyShare), recipe, `seed-${seed}`),
    device: plan.device,
    checkpoint,
    checkpointSha256,
    config: {
      formatVersion: 1,
      checkpoint,
      checkpointSha256,
      checkpointEvery,
      evaluation: null,
      settings: { ...settings, families: [...settings.families], steps, questions },
    },
    milestones: [...own, ...more],
    ...userFilesOf(plan),
    keepTrajectories,
  }
}
