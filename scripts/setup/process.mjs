// Running other programs for the set-up: output captured, time limited, failures told in one line with the repair.
// Not here: the program the user asked for, which inherits the terminal (launch.mjs).
// @ts-check
import { spawn } from 'node:child_process'

/** A set-up step that failed for a reason outside the program. Its message is the whole story for the user. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError'
}

/**
 * @typedef {{ code: number | null, signal: string | null, stdout: string, stderr: string, timedOut: boolean, missing: boolean }} RunResult
 */

/**
 * Runs a program to its end with no stdin. Never throws: a missing program or a time-out is in the result.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number }} [options]
 * @returns {Promise<RunResult>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    /** @type {RunResult} */
    const result = { code: null, signal: null, stdout: '', stderr: '', timedOut: false, missing: false }
    child.stdout.setEncoding('utf8').on('data', (text) => {
      result.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      result.stderr += text
    })
    const stop = setTimeout(() => {
      result.timedOut = true
      child.kill('SIGTERM')
      setTimeout(() => child.kill('SIGKILL'), 2000).unref()
    }, options.timeoutMs ?? 600_000)
    child.on('error', (error) => {
      clearTimeout(stop)
      result.missing = /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT'
      resolve({ ...result, stderr: result.stderr || error.message })
    })
    child.on('close', (code, signal) => {
      clearTimeout(stop)
      resolve({ ...result, code, signal })
    })
  })
}

/** What a package manager's output says went wrong, with the repair. First match wins. */
const CAUSES = [
  {
    pattern: /ENOSPC|no space left/i,
    message: 'the disk is full. Free about 1.5 GB where this folder lies, then run the same command again.',
  },
  {
    pattern: /EROFS|EACCES|EPERM|permission denied/i,
    message: 'a folder could not be written. Make this folder (and its .axpo) yours to write, then run again.',
  },
  {
    pattern: /OUTDATED_LOCKFILE|frozen-lockfile/i,
    message: 'pnpm-lock.yaml does not fit the package.json files. Run `npm run lock` and commit the lockfile.',
  },
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|dns error|error sending request|Temporary failure resolving|Could not resolve|network/i,
    message:
      'the package registry could not be reached. Connect to the network (or set npm_config_registry / a proxy), then run again; everything fetched so far is kept.',
  },
  {
    pattern: /EINTEGRITY|integrity/i,
    message:
      'a package does not have the expected contents. Check the registry or proxy that served it; nothing of it was kept.',
  },
  {
    pattern: /E404|ETARGET|No matching version|404 Not Found/i,
    message: 'the registry does not have the pinned version. Point npm_config_registry at one that mirrors npmjs.org.',
  },
]

/**
 * One line: what failed, why, how to repair, and the last words of the program for what no rule knows.
 * @param {string} step
 * @param {RunResult} result
 */
export function explainFailure(step, result) {
  if (result.missing) {
    return `${step}: the program must be on PATH, got none. Install npm (it comes with Node.js, https://nodejs.org), then run again.`
  }
  if (result.timedOut) return `${step}: took too long and was stopped. Run again; what was fetched is kept.`
  const output = `${result.stderr}\n${result.stdout}`
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const cause = CAUSES.find(({ pattern }) => pattern.test(output))
  const status = result.signal ? `signal ${result.signal}` : `exit code ${result.code}`
  const said = lines.slice(-6).join('\n    ')
  return cause
    ? `${step}: failed (${status}): ${cause.message}\n    ${said}`
    : `${step}: must end with exit code 0, got ${status}. It said:\n    ${said}`
}
