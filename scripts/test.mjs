#!/usr/bin/env node
// `npm test`: the set-up with a WebGPU adapter and a Chromium, then lint, types and every test. Arguments go to vitest.
// Ends with a list of the skipped tests and one line `N passed, N failed, N skipped`. Exit code 0 only where all passed.
// @ts-check
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { peekArguments } from './setup/arguments.mjs'
import { ensureChromium } from './setup/chromium.mjs'
import { AXPO, createContext, ROOT } from './setup/context.mjs'
import { launch } from './setup/launch.mjs'
import { SetupError } from './setup/process.mjs'
import { closingLine, summarise } from './setup/summary.mjs'
import { runMain, setup } from './setup.mjs'

const REPORT = join(AXPO, 'tests.json')

await runMain(async () => {
  const { offline, rest } = peekArguments('test', process.argv.slice(2), process.env)
  const { node, env } = await setup({ offline, adapter: 'any' })
  if (process.env.AXPO_BROWSER !== 'none') await ensureChromium(createContext({ offline }))
  const program = (/** @type {string[]} */ path) => join(ROOT, 'node_modules', ...path)
  const step = async (/** @type {string} */ name, /** @type {string[]} */ args) => {
    process.stdout.write(`\n== ${name}\n`)
    const startMs = performance.now()
    const code = await launch(node, args, { env: { ...env, AXPO_TEST_REPORT: REPORT }, cwd: ROOT })
    if (code >= 128) throw new SetupError(`${name}: must run to its end, got stopped (${code}). Run again.`)
    process.stdout.write(
      `== ${name}: ${code === 0 ? 'ok' : `failed (${code})`} in ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`,
    )
    return { name, code }
  }
  rmSync(REPORT, { force: true })
  const steps = [
    await step('lint', [program(['@biomejs', 'biome', 'bin', 'biome']), 'check', '.']),
    await step('types', [program(['typescript', 'bin', 'tsc']), '--noEmit', '-p', 'tsconfig.json']),
    await step('tests', [
      program(['vitest', 'vitest.mjs']),
      'run',
      '--reporter=default',
      `--reporter=${join(ROOT, 'scripts', 'setup', 'vitest-reporter.mjs')}`,
      ...rest,
    ]),
  ]
  return report(steps.filter(({ code }) => code !== 0).map(({ name }) => name))
})

/**
 * @param {string[]} failedSteps
 * @returns {number} exit code
 */
function report(failedSteps) {
  const summary = summarise(readReport(), ROOT)
  const list = (/** @type {string} */ title, /** @type {string[]} */ items) => {
    if (items.length > 0) process.stdout.write(`\n${title}:\n${items.map((item) => `  - ${item}\n`).join('')}`)
  }
  list('skipped', summary.skipped)
  list('failed tests', summary.failed)
  list('failed steps', failedSteps)
  if (summary.passed === 0) process.stdout.write('\nno test passed: that is a failure\n')
  process.stdout.write(`\n${closingLine(summary)}\n`)
  return failedSteps.length > 0 || summary.failed.length > 0 || summary.passed === 0 ? 1 : 0
}

/** @returns {import('./setup/summary.mjs').Report} */
function readReport() {
  try {
    return JSON.parse(readFileSync(REPORT, 'utf8'))
  } catch {
    return { testResults: [] }
  }
}
