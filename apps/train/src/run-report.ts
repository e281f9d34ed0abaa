/**
 * The table and report.html of a run whose evaluations are there, beside finished runs in the same folder that differ in the recipe only.
 * Not here: the page itself (report.ts).
 */
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  countByQuestion,
  formatTable,
  loadCheckpointCodec,
  loadEvaluation,
  summariseByFamily,
  type TableRow,
} from '@axpo/eval'
import { settingsOf } from '@axpo/policy'
import { type ReportRun, writeReport } from './report.ts'
import { loadMetrics, loadRunConfig, type RunConfig } from './train.ts'

export const evaluationPath = (directory: string, which: 'before' | 'after'): string =>
  join(directory, 'evaluations', `${which}.msgpack`)

async function tableRows(path: string, label: string, rewardThreshold: number): Promise<TableRow[]> {
  const counts = countByQuestion(await loadEvaluation(path), rewardThreshold)
  return summariseByFamily(counts).map((summary) => ({ label, summary, rewardThreshold }))
}

/** `rewardThreshold`: reward from which on a rollout is right, the same for every run of a table. */
async function loadReportRun(directory: string, config: RunConfig, rewardThreshold: number): Promise<ReportRun> {
  const label = config.settings.recipe.name
  return {
    directory,
    label,
    config,
    metrics: loadMetrics(directory),
    before: await tableRows(evaluationPath(directory, 'before'), 'SFT', rewardThreshold),
    after: await tableRows(evaluationPath(directory, 'after'), label, rewardThreshold),
  }
}

/** Whether two runs may stand in one table: same start, device, seed, questions, length and evaluation, another recipe. */
function comparable(a: RunConfig, b: RunConfig): boolean {
  const key = ({ checkpointSha256, device, settings, evaluation }: RunConfig) =>
    JSON.stringify([checkpointSha256, device, { ...settings, recipe: null }, { ...evaluation, rewardThreshold: null }])
  return a.settings.recipe.name !== b.settings.recipe.name && key(a) === key(b)
}

/** Finished runs beside this one, the newest name of each recipe. One that cannot be read is left out, and said so: this run's result does not hang on it. */
async function loadNeighbours(directory: string, config: RunConfig, rewardThreshold: number): Promise<ReportRun[]> {
  const found = new Map<string, ReportRun>()
  for (const name of readdirSync(dirname(directory)).sort()) {
    const other = join(dirname(directory), name)
    if (name === basename(directory) || !existsSync(evaluationPath(other, 'after'))) continue
    try {
      const candidate = loadRunConfig(other)
      if (comparable(config, candidate))
        found.set(candidate.settings.recipe.name, await loadReportRun(other, candidate, rewardThreshold))
    } catch (error) {
      console.error(`report: ${other} is left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return [...found.values()]
}

export interface RunReport {
  readonly table: string
  /** Of report.html. */
  readonly path: string
}

export async function report(directory: string, decode: (tokens: ArrayLike<number>) => string): Promise<RunReport> {
  const config = loadRunConfig(directory)
  const { rewardThreshold } = settingsOf(config.settings.recipe)
  const own = await loadReportRun(directory, config, rewardThreshold)
  const runs = [own, ...(await loadNeighbours(directory, config, rewardThreshold))]
  const path = join(directory, 'report.html')
  await writeReport(path, runs, decode)
  return { table: formatTable([...own.before, ...runs.flatMap((r) => r.after)]), path }
}

/** The same for a run of before; needs no device. */
export async function reportOf(directory: string): Promise<RunReport> {
  const { checkpoint, evaluation } = loadRunConfig(directory)
  if (!evaluation)
    throw new Error(
      `report: ${directory} must be a run with evaluations, got one made without --evaluate. Make another.`,
    )
  for (const which of ['before', 'after'] as const)
    if (!existsSync(evaluationPath(directory, which)))
      throw new Error(
        `report: ${evaluationPath(directory, which)} must be there, got no such file. End the run with npm run axpo -- train --resume ${directory}.`,
      )
  const codec = await loadCheckpointCodec(checkpoint)
  return report(directory, (tokens) => codec.decode(tokens))
}
