/**
 * Evaluation of a checkpoint on questions: n rollouts each, counted by question. Not here: the estimators (statistics.ts), files (evaluation-file.ts).
 * Rollouts are keyed by (seed, question, sample): the result does not depend on how many run at once.
 */
import { type RolloutSetting, rollout, type Task } from '@axpo/agent'
import { type AnyFamily, families, loadQuestion, type Question, type Split } from '@axpo/tasks'
import { type Trajectory, usesTool } from '@axpo/trajectory'
import { mapConcurrently } from './map-concurrently.ts'
import type { QuestionCounts } from './statistics.ts'
import { suiteTask } from './suite-task.ts'
import type { UserFiles } from './user-files.ts'
import { checkTasks, loadSplit, tasksFileOf, userTask } from './user-task.ts'

/** With files of a user's, `questions` of theirs at most, in their order; easyShare and families are the suite's and do not matter then. */
export interface EvaluationPlan extends UserFiles {
  readonly split: Split
  readonly questions: number
  /** n, rollouts a question. */
  readonly samples: number
  /** s: share of items that need no tool. */
  readonly easyShare: number
  readonly seed: number
  readonly families: readonly AnyFamily[]
  /** Reward from which on a rollout counts as right; default 1. */
  readonly rewardThreshold?: number
}

export const defaultEvaluation: EvaluationPlan = {
  split: 'test',
  questions: 258,
  samples: 8,
  easyShare: 0.5,
  seed: 1,
  families,
}

/** Families in turn. */
export function evaluationQuestions(plan: EvaluationPlan): Question[] {
  const { families: names, split, easyShare } = plan
  return Array.from({ length: plan.questions }, (_, i) =>
    loadQuestion(names[i % names.length]!, split, Math.floor(i / names.length), easyShare),
  )
}

/** Step number in the sampling key of evaluations: beyond any training step, so that the two never share random numbers. */
const evaluationStep = 0x7fffffff

/** Rollouts in flight: above the sampler's 128 sequences, so that its batches stay full. */
const inFlight = 192

/** `samples` rollouts of each task. */
export async function evaluateTasks(
  setting: RolloutSetting,
  tasks: readonly Task[],
  plan: Pick<EvaluationPlan, 'samples' | 'seed'>,
  onRollout: (done: number, total: number) => void = () => {},
): Promise<Trajectory[]> {
  const total = tasks.length * plan.samples
  let done = 0
  return mapConcurrently(total, inFlight, async (i) => {
    const question = Math.floor(i / plan.samples)
    const job = { task: tasks[question]!, seed: plan.seed, step: evaluationStep, question, sample: i % plan.samples }
    const trajectory = await rollout(setting, job)
    onRollout(++done, total)
    return trajectory
  })
}

/** What a plan plays. */
export async function evaluationTasks(plan: EvaluationPlan): Promise<Task[]> {
  const file = tasksFileOf(plan)
  if (file === null) return evaluationQuestions(plan).map(suiteTask)
  return (await loadSplit(file, plan.split)).slice(0, plan.questions).map(userTask)
}

export async function evaluate(
  setting: RolloutSetting,
  plan: EvaluationPlan,
  onRollout?: (done: number, total: number) => void,
): Promise<Trajectory[]> {
  const tasks = await evaluationTasks(plan)
  if (plan.tasks !== undefined) checkTasks(tasks, setting)
  return evaluateTasks(setting, tasks, plan, onRollout)
}

/**
 * Counts a question, in order of first appearance. Continuations (sample 1000 and up) are no independent samples and are left out. `rewardThreshold`: reward from which on a rollout is
 * right.
 */
export function countByQuestion(trajectories: Iterable<Trajectory>, rewardThreshold = 1): QuestionCounts[] {
  const counts = new Map<string, { -readonly [K in keyof QuestionCounts]: QuestionCounts[K] }>()
  for (const t of trajectories) {
    if (t.parent) continue
    let c = counts.get(t.questionId)
    if (!c) {
      c = { questionId: t.questionId, family: t.family, samples: 0, correct: 0, toolUsing: 0, toolUsingCorrect: 0 }
      counts.set(t.questionId, c)
    }
    const right = t.reward >= rewardThreshold ? 1 : 0
    const tool = usesTool(t) ? 1 : 0
    c.samples++
    c.correct += right
    c.toolUsing += tool
    c.toolUsingCorrect += right * tool
  }
  return [...counts.values()]
}
