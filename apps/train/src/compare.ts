/**
 * `axpo compare`: recipe x seed x s from one checkpoint, then tables and figures. Runs what is missing; what is finished is read. Not here: flags
 * (command-compare.ts), cells (compare-cell.ts), statistics (compare-result.ts).
 */
import { join } from 'node:path'
import type { BootstrapOptions } from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { compareHtml } from './compare-html.ts'
import { compareMarkdown, compareText } from './compare-markdown.ts'
import { type CellJob, type ComparePlan, checkPlan, loadPlan, savePlan, startJob, writeWhole } from './compare-plan.ts'
import { runCells } from './compare-pool.ts'
import { jobOf, loadGroups } from './compare-read.ts'
import { compareResult } from './compare-result.ts'
import { timesOf } from './compare-times.ts'
import { lockFolder } from './folder-lock.ts'

export interface CompareOptions {
  readonly directory: string
  readonly plan: ComparePlan
  /** Cells at once. */
  readonly processes: number
  readonly keepTrajectories: boolean
  /** Of the CPU kernels of every cell. */
  readonly build?: CpuBuild
  readonly bootstrap: BootstrapOptions
}

/** Seed by seed, so that whole seeds can be looked at early (`--from`). */
function jobs({ directory, plan, keepTrajectories, build }: CompareOptions): CellJob[] {
  const cells = plan.seeds.flatMap((seed) =>
    plan.easyShares.flatMap((easyShare) => plan.recipes.map((recipe) => ({ recipe, seed, easyShare }))),
  )
  return [
    ...plan.easyShares.map((s) => startJob(directory, plan, s)),
    ...cells.map((cell) => jobOf(directory, plan, cell, keepTrajectories)),
  ].map((job) => (build ? { ...job, build } : job))
}

/** Decimals beyond these are noise of summation; without them the file is a third as long. */
const significantDigits = 9

const rounded = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(significantDigits)) : value

/** Computes and writes compare.json, compare.md, compare.html and compare-times.json from the folder's cells. Returns the text for the terminal. */
export function writeComparison(directory: string, bootstrap: BootstrapOptions, processes: number): string {
  const plan = loadPlan(directory)
  const groups = loadGroups(directory, plan)
  const result = compareResult(plan, groups, bootstrap)
  const times = timesOf(groups, processes)
  writeWhole(join(directory, 'compare.json'), `${JSON.stringify(result, rounded, 1)}\n`)
  writeWhole(join(directory, 'compare-times.json'), `${JSON.stringify(times, rounded, 1)}\n`)
  writeWhole(join(directory, 'compare.md'), compareMarkdown(result, times))
  writeWhole(join(directory, 'compare.html'), compareHtml(result, times))
  return compareText(result, times)
}

export async function compare(options: CompareOptions): Promise<string> {
  const { directory, plan, processes } = options
  checkPlan(plan)
  const release = await lockFolder(directory, 0)
  try {
    savePlan(directory, plan)
    await runCells(jobs(options), processes)
    // only now is it known how many rollouts each recipe spent
    if (plan.equalRollouts) await runCells(jobs(options), processes)
    return writeComparison(directory, options.bootstrap, processes)
  } finally {
    release()
  }
}
