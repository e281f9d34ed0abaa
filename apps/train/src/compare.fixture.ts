/** A comparison on disk that no model made: cells with figures by formula, for tests. Writes exactly what compare-read.ts reads. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QuestionCounts } from '@axpo/eval'
import { evaluationPath, saveCounts } from './compare-evaluation.ts'
import { type CellJob, type ComparePlan, savePlan, startJob } from './compare-plan.ts'
import { jobOf } from './compare-read.ts'
import type { StepSpent } from './compare-spent.ts'
import type { StepMetrics } from './rl-step.ts'

export const madeUpPlan: ComparePlan = {
  formatVersion: 1,
  suite: 'gapworld',
  recipes: ['grpo', 'axpo'],
  baseline: 'grpo',
  seeds: [1, 2, 3],
  easyShares: [0.5],
  steps: 4,
  questions: 2,
  learningRate: 4e-4,
  evalEvery: 2,
  validationQuestions: 3,
  evalQuestions: 6,
  unseenQuestions: 0,
  samples: 8,
  equalRollouts: false,
  device: 'cpu',
  checkpoint: '/nowhere',
  checkpointSha256: '0'.repeat(64),
}

/** Null: the SFT checkpoint. */
export type MadeUpCell = { readonly recipe: string; readonly seed: number; readonly easyShare: number }

export interface MadeUp {
  /** Right answers of `samples`, and rollouts with a tool. */
  readonly counts: (
    cell: MadeUpCell | null,
    step: number,
    question: { readonly family: string; readonly index: number; readonly easyShare: number },
  ) => { readonly correct: number; readonly toolUsing: number; readonly toolUsingCorrect: number }
  readonly metrics: (cell: MadeUpCell, step: number) => Partial<StepMetrics>
  readonly spent: (cell: MadeUpCell, step: number) => Omit<StepSpent, 'step'>
}

const noFigures: Omit<StepMetrics, 'step'> = {
  reward: null,
  toolUseRate: null,
  allWrongToolRate: null,
  allWrongNoToolRate: null,
  accuracyWithTool: null,
  accuracyWithoutTool: null,
  triggeredQuestions: 0,
  selectedPrefixes: 0,
  extraRollouts: 0,
  recoveryRate: null,
  distinctCallsPerPrefix: null,
  rankingPearson: null,
  rankingSpearman: null,
  meanAdvantageOnCalls: null,
  entropyThinkNats: null,
  entropyActNats: null,
  entropyAnswerNats: null,
  responseTokens: null,
  toolErrors: {},
  loss: 0,
  gradientNorm: 0,
  learningRate: 4e-4,
  clipFraction: 0,
  klNats: 0,
  trainedTokens: 0,
  samplerGapNats: 0,
} as Omit<StepMetrics, 'step'>

const lines = (values: readonly object[]): string => values.map((v) => `${JSON.stringify(v)}\n`).join('')

function writeEvaluations(job: CellJob, cell: MadeUpCell | null, madeUp: MadeUp): void {
  const { directory, checkpointSha256 } = job
  for (const { step, evaluations } of job.milestones)
    for (const { name, plan } of evaluations) {
      const counts = Array.from({ length: plan.questions }, (_, index): QuestionCounts => {
        const family = plan.families[index % plan.families.length]!
        const question = { family, index, easyShare: plan.easyShare }
        return {
          questionId: `${family}-${index}`,
          family,
          samples: plan.samples,
          ...madeUp.counts(cell, step, question),
        }
      })
      saveCounts(evaluationPath(directory, step, name), { step, checkpointSha256, plan }, 'cpu', counts)
    }
}

function writeCell(directory: string, plan: ComparePlan, cell: MadeUpCell, madeUp: MadeUp): void {
  // its further milestones follow from what the other recipes spent: written once those are there
  const job = jobOf(directory, plan, cell)
  mkdirSync(job.directory, { recursive: true })
  const steps = Array.from({ length: job.milestones.at(-1)!.step }, (_, i) => i + 1)
  const file = (name: string, values: readonly object[]) => writeFileSync(join(job.directory, name), lines(values))
  file(
    'metrics.jsonl',
    steps.map((step) => ({ ...noFigures, ...madeUp.metrics(cell, step), step })),
  )
  file(
    'spent.jsonl',
    steps.map((step) => ({ step, ...madeUp.spent(cell, step) })),
  )
  file(
    'timings.jsonl',
    steps.map((step) => ({ step, sampleSeconds: 1, learnSeconds: 0.5 })),
  )
  writeEvaluations(job, cell, madeUp)
}

export function writeMadeUp(directory: string, plan: ComparePlan, madeUp: MadeUp): void {
  savePlan(directory, plan)
  for (const easyShare of plan.easyShares) {
    writeEvaluations(startJob(directory, plan, easyShare), null, madeUp)
    for (const seed of plan.seeds)
      for (const recipe of [...plan.recipes.filter((r) => r !== plan.baseline), plan.baseline])
        writeCell(directory, plan, { recipe, seed, easyShare }, madeUp)
  }
}
