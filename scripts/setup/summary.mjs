// What a vitest run amounts to, out of vitest-reporter.mjs's report: counts, the skipped tests by name, the closing line.
// Not here: running it (test.mjs).
// @ts-check

/**
 * @typedef {{ fullName: string, status: string, note?: string }} TestResult
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
      else if (test.status === 'pending') failed.push(`${title}: did not end (its process crashed or was stopped)`)
      else skipped.push(`${title}: ${test.note || 'no reason given'}`)
    }
    const fileBroke =
      file.status === 'failed' &&
      !file.assertionResults.some(({ status }) => status === 'failed' || status === 'pending')
    if (fileBroke) failed.push(`${path}: the file did not load or end (${(file.message ?? '').split('\n')[0]})`)
  }
  return { passed, failed, skipped }
}

/** @param {ReturnType<typeof summarise>} summary */
export function closingLine(summary) {
  return `${summary.passed} passed, ${summary.failed.length} failed, ${summary.skipped.length} skipped`
}
