/**
 * `axpo compare`: recipe x seed x s from one checkpoint, then tables and figures. Runs what is missing; what is finished is read. Not here: flags
 * (command-compare.ts), cells (compare-cell.ts), statistics (compare-result.ts).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { BootstrapOptions } from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { compareHtml } from './compare-html.ts'
import { compareMarkdown, compareText } from './compare-markdown.ts'
import { type CellJob, type ComparePlan, checkPlan, loadPlan, savePlan, startJob, writeWhole } from './compare-plan.ts'
import { runCells } from './compare-pool.ts'
import { jobOf, loadGroups } from './compare-read.ts'
import { compareResult } from './compare-result.ts'
import { type CompareTimes, timesOf } from './compare-times.ts'
import { lockFolder } from './folder-lock.ts'
import { readJson } from './run-folder.ts'

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

/** The plan with another recipe to compare with. Only the plan's own baseline was run to equal rollouts. */
function planAgainst(plan: ComparePlan, baseline: string): ComparePlan {
  if (baseline === plan.baseline) return plan
  const changed = { ...plan, baseline, equalRollouts: false }
  checkPlan(changed)
  return changed
}

export interface WriteOptions {
  readonly directory: string
  readonly bootstrap: BootstrapOptions
  /** Cells that ran at once; left out: what the folder says. */
  readonly processes?: number
  /** Compared with instead of the plan's; the files are then compare-to-NAME.*. */
  readonly baseline?: string
}

const timesFile = 'compare-times.json'

/** Of the process that ran the cells; 1 in a folder that does not say. */
function processesOf(directory: string): number {
  const path = join(directory, timesFile)
  return existsSync(path) ? (readJson(path) as CompareTimes).processes : 1
}

/**
 * Computes and writes compare.json, compare.md, compare.html and compare-times.json from the folder's cells. Returns the text for the terminal and the files'
 * name without extension.
 */
export function writeComparison(options: WriteOptions): { readonly text: string; readonly name: string } {
  const { directory, bootstrap, processes = processesOf(directory) } = options
  const own = loadPlan(directory)
  const plan = planAgainst(own, options.baseline ?? own.baseline)
  const name = plan.baseline === own.baseline ? 'compare' : `compare-to-${plan.baseline}`
  const groups = loadGroups(directory, plan)
  const result = compareResult(plan, groups, bootstrap)
  const times = timesOf(groups, processes)
  writeWhole(join(directory, `${name}.json`), `${JSON.stringify(result, rounded, 1)}\n`)
  writeWhole(join(directory, timesFile), `${JSON.stringify(times, rounded, 1)}\n`)
  writeWhole(join(directory, `${name}.md`), compareMarkdown(result, times))
  writeWhole(join(directory, `${name}.html`), compareHtml(result, times))
  return { text: compareText(result, times), name }
}

export async function compare(options: CompareOptions): Promise<ReturnType<typeof writeComparison>> {
  const { directory, plan, processes, bootstrap } = options
  checkPlan(plan)
  const release = await lockFolder(directory, 0)
  try {
    savePlan(directory, plan)
    await runCells(jobs(options), processes)
    // only now is it known how many rollouts each recipe spent
    if (plan.equalRollouts) await runCells(jobs(options), processes)
    return writeComparison({ directory, bootstrap, processes })
  } finally {
    release()
  }
}
