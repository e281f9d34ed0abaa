// What a vitest run amounts to, out of its JSON report: counts, the skipped tests by name, the closing line.
// Not here: running it (test.mjs).
// @ts-check

/**
 * @typedef {{ fullName: string, status: string, failureMessages?: string[] | null, meta?: Record<string, unknown> }} TestResult
 * @typedef {{ name: string, status: string, message?: string, assertionResults: TestResult[] }} FileResult
 * @typedef {{ testResults: FileResult[] }} Report
 */

/**
 * @param {Report} report
 * @param {string} root  taken off file names
 */
export function summarise(report, root) {
  let passed = 0
  /** @type {string[]} */
  const failed = []
  /** @type {string[]} */
  const skipped = []
  for (const file of report.testResults) {
    const path = file.name.startsWith(root) ? file.name.slice(root.length + 1) : file.name
    for (const test of file.assertionResults) {
      const title = `${path}: ${test.fullName.trim()}`
      if (test.status === 'passed') passed++
      else if (test.status === 'failed') failed.push(title)
      else skipped.push(title)
    }
    const fileBroke = file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')
    if (fileBroke) failed.push(`${path}: the file did not load or end (${(file.message ?? '').split('\n')[0]})`)
  }
  return { passed, failed, skipped }
}

/** @param {ReturnType<typeof summarise>} summary */
export function closingLine(summary) {
  return `${summary.passed} passed, ${summary.failed.length} failed, ${summary.skipped.length} skipped`
}
