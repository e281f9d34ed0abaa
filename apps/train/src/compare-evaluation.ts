/** An evaluation of a cell on disk: counts a question, and how they were made. Not here: trajectories, estimators. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { EvaluationPlan, QuestionCounts } from '@axpo/eval'
import * as z from 'zod'
import { type EvaluationName, writeWhole } from './compare-plan.ts'
import { readJson } from './run-folder.ts'

const columns = ['questionId', 'family', 'samples', 'correct', 'toolUsing', 'toolUsingCorrect'] as const

const fileSchema = z.strictObject({
  formatVersion: z.literal(1),
  step: z.int().nonnegative(),
  checkpointSha256: z.string(),
  device: z.enum(['cpu', 'webgpu']),
  plan: z.looseObject({}),
  columns: z.tuple(columns.map((c) => z.literal(c)) as [z.ZodLiteral, ...z.ZodLiteral[]]),
  rows: z.array(z.tuple([z.string(), z.string(), z.int(), z.int(), z.int(), z.int()])).min(1),
})

/** What an evaluation file must have been made with. */
export interface EvaluationOrigin {
  readonly step: number
  readonly checkpointSha256: string
  readonly plan: EvaluationPlan
}

export function evaluationPath(directory: string, step: number, name: EvaluationName): string {
  return join(directory, 'evaluations', `step-${String(step).padStart(6, '0')}-${name}.json`)
}

export function saveCounts(
  path: string,
  origin: EvaluationOrigin,
  device: 'cpu' | 'webgpu',
  counts: readonly QuestionCounts[],
): void {
  const { step, checkpointSha256, plan } = origin
  const head = JSON.stringify({ formatVersion: 1, step, checkpointSha256, device, plan, columns }).slice(0, -1)
  const rows = counts.map((c) => JSON.stringify(columns.map((name) => c[name])))
  writeWhole(path, `${head},"rows":[\n${rows.join(',\n')}\n]}\n`)
}

/** Null where there is no file. Throws when it was made in another way than `origin` says. */
export function loadCounts(path: string, origin: EvaluationOrigin): QuestionCounts[] | null {
  if (!existsSync(path)) return null
  const parsed = fileSchema.safeParse(readJson(path))
  if (!parsed.success) throw new Error(`${path}: ${z.prettifyError(parsed.error)}. Delete it, and compare again.`)
  const { step, checkpointSha256, plan } = parsed.data
  // both went through JSON or are plain data with the same order of fields
  const [wanted, got] = [origin, { step, checkpointSha256, plan }].map((o) =>
    JSON.stringify([o.step, o.checkpointSha256, o.plan]),
  )
  if (wanted !== got)
    throw new Error(
      `${path}: must have been made with ${wanted}, got ${got}. Give another --out, or the settings this comparison began with.`,
    )
  return parsed.data.rows.map(([questionId, family, samples, correct, toolUsing, toolUsingCorrect]) => ({
    questionId,
    family,
    samples,
    correct,
    toolUsing,
    toolUsingCorrect,
  }))
}
