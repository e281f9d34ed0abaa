/** The conformance suite of the kernels in this page: every case of every op at one size. What Node runs at more sizes, on the engine people have. */

import type { Executor } from '@axpo/kernels'
import { runCase } from '@axpo/kernels/conformance'
import { cases } from '#cases'

export interface CaseResult {
  readonly name: string
  readonly valueError: number
  readonly gradientError: number
  readonly faults: readonly string[]
}

/** `rows`: live rows of each case. */
export async function runSuite(executor: Executor, rows: number): Promise<CaseResult[]> {
  const results: CaseResult[] = []
  for (const item of cases) {
    const { valueError, gradientError, faults } = await runCase(executor, item, rows)
    results.push({ name: item.name, valueError, gradientError, faults })
  }
  return results
}
