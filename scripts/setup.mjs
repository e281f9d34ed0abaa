#!/usr/bin/env node
// The set-up: Node, pnpm, dependencies, builds, a WebGPU adapter. Plain JavaScript for Node >= 20, no dependency,
// idempotent: what is there already is not done again. Everything goes into .axpo and node_modules (scripts/setup/).
// Not here: what runs afterwards (start.mjs, axpo.mjs, test.mjs).
// @ts-check
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AXPO, createContext, ROOT, takeLock } from './setup/context.mjs'
import { SetupError } from './setup/process.mjs'
import { swiftShaderPresent } from './setup/swiftshader.mjs'
import { ensureBuild, ensureDependencies, ensureNode, ensurePnpm, toolEnv } from './setup/toolchain.mjs'
import { findVulkan } from './setup/vulkan.mjs'

/**
 * @typedef {object} Ready
 * @property {string} node              Node binary that runs the TypeScript sources
 * @property {string[]} nodeArgs        flags it needs
 * @property {NodeJS.ProcessEnv} env    for the program that follows: PATH, and what the adapter needs
 * @property {import('./setup/vulkan.mjs').Found | null} adapter   null: not looked for
 */

/**
 * @param {{ offline?: boolean, quiet?: boolean, adapter?: 'none' | 'gpu' | 'any' }} [options]
 *   offline: fetch nothing, fail with the list of what is missing. quiet: no closing line, only what is being done.
 *   adapter: 'gpu' looks for a real GPU (default), 'any' brings a software adapter where there is none, 'none' skips.
 * @returns {Promise<Ready>}
 * @throws {SetupError}
 */
export async function setup(options = {}) {
  const startMs = performance.now()
  const context = createContext(options)
  const release = await takeLock(context)
  try {
    const node = await ensureNode(context)
    const pnpm = await ensurePnpm(context)
    if (node && pnpm) await ensureDependencies(context, node, pnpm)
    else listFurtherMissing(context.missing, options.adapter ?? 'gpu')
    checkMissing(context.missing)
    if (!node) throw new SetupError('setup: Node must be there by now, got none. Delete .axpo and run again.')
    await ensureBuild(context, node)
    const want = options.adapter ?? 'gpu'
    const adapter = want === 'none' ? null : await findVulkan(context, node, want)
    checkMissing(context.missing)
    if (!options.quiet)
      context.say(`ready: ${describe(node, adapter)} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`)
    const nodeArgs = ['--disable-warning=ExperimentalWarning']
    // compiled code is kept: a later start begins in a third of the time
    const cache = { NODE_COMPILE_CACHE: join(AXPO, 'compile-cache') }
    return { node, nodeArgs, env: { ...cache, ...toolEnv(context, node), ...adapter?.env }, adapter }
  } finally {
    release()
  }
}

/**
 * Without Node or pnpm the later steps cannot be tried; --offline still lists what they would lack.
 * @param {string[]} missing
 * @param {'none' | 'gpu' | 'any'} want
 */
function listFurtherMissing(missing, want) {
  if (!existsSync(join(ROOT, 'node_modules', '.pnpm'))) missing.push('the dependencies of pnpm-lock.yaml')
  if (want === 'any' && !swiftShaderPresent()) missing.push('a software WebGPU adapter, unless this system has one')
}

/** @param {string[]} missing */
function checkMissing(missing) {
  if (missing.length === 0) return
  const list = missing.map((item) => `\n    - ${item}`).join('')
  throw new SetupError(
    `setup: --offline needs everything installed, got ${missing.length} missing:${list}\n  Run the same command once without --offline, with a network; later runs need none.`,
  )
}

/**
 * @param {string} node
 * @param {import('./setup/vulkan.mjs').Found | null} adapter
 */
function describe(node, adapter) {
  const where = node === process.execPath ? `Node ${process.versions.node}` : 'Node 24 in .axpo'
  if (!adapter) return where
  if (adapter.kind === 'none') return `${where}; no GPU: ${adapter.reason}`
  return `${where}; ${adapter.kind === 'gpu' ? 'GPU' : 'software adapter'} ${adapter.name}, ${adapter.reason}`
}

/**
 * Runs a main function: a SetupError is one line and exit code 1, anything else a stack trace.
 * @param {() => Promise<number>} main  resolves to the exit code
 */
export async function runMain(main) {
  try {
    process.exitCode = await main()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    process.stderr.write(`axpo: ${error.message}\n`)
    process.exitCode = 1
  }
}

/** @param {string} url import.meta.url of the module that asks whether it is the program */
export function isMain(url) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(url))
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    const known = new Map([
      ['--offline', { offline: true }],
      ['--quiet', { quiet: true }],
      ['--adapter', { adapter: /** @type {const} */ ('any') }],
    ])
    const args = process.argv.slice(2)
    const unknown = args.find((arg) => !known.has(arg))
    if (unknown) throw new SetupError(`setup: flags are ${[...known.keys()].join(', ')}, got ${unknown}. Correct it.`)
    await setup(Object.assign({}, ...args.map((arg) => known.get(arg))))
    return 0
  })
}
