// A vitest reporter that writes what summary.mjs reads: every test with its state, and the reason of each skip, which
// vitest's own JSON report leaves out. The file's path comes in AXPO_TEST_REPORT.
// Not here: what is shown while tests run (vitest's default reporter does).
// @ts-check
import { writeFileSync } from 'node:fs'

export default class ReasonReporter {
  /** @param {ReadonlyArray<import('vitest/node').TestModule>} modules */
  onTestRunEnd(modules) {
    const path = process.env.AXPO_TEST_REPORT
    if (!path) throw new Error('vitest-reporter: AXPO_TEST_REPORT must name a file, got none. Run `npm test`.')
    const testResults = modules.map((module) => ({
      name: module.moduleId,
      status: module.state(),
      message: module.errors()[0]?.message ?? '',
      assertionResults: [...module.children.allTests()].map((test) => {
        const result = test.result()
        return { fullName: test.fullName, status: result.state, note: 'note' in result ? (result.note ?? '') : '' }
      }),
    }))
    writeFileSync(path, JSON.stringify({ testResults }))
  }
}
