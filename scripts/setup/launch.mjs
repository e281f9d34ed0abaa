// The program the user asked for: inherits the terminal, gets Ctrl-C once, and its exit code is ours.
// Not here: programs of the set-up, whose output is captured (process.mjs).
// @ts-check
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { messageOf } from './context.mjs'

/** In a terminal Ctrl-C reaches the whole foreground group, the child too: forwarding it would be a second one. */
const FORWARDED = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])
/** npm passes the signal on as well: copies within this time are one. */
const SAME_SIGNAL_MS = 500

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ env: NodeJS.ProcessEnv, cwd?: string }} options
 * @returns {Promise<number>} exit code; 128 + n where a signal ended it
 */
export function launch(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', env: options.env, cwd: options.cwd })
    const lastMs = new Map()
    const forward = (/** @type {NodeJS.Signals} */ signal) => {
      const nowMs = Date.now()
      const copy = nowMs - (lastMs.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS
      lastMs.set(signal, nowMs)
      if (copy || (signal === 'SIGINT' && process.stdin.isTTY)) return
      child.kill(signal)
    }
    for (const signal of FORWARDED) process.on(signal, forward)
    const end = (/** @type {number} */ code) => {
      for (const signal of FORWARDED) process.off(signal, forward)
      resolve(code)
    }
    child.on('error', (error) => {
      process.stderr.write(`axpo: ${command} must start, got ${messageOf(error)}. Delete .axpo and run again.\n`)
      end(1)
    })
    child.on('close', (code, signal) => end(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
}
