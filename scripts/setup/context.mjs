// Where the set-up works and in what environment its programs run: folders, HOME that can be written, one line a step.
// Not here: any step itself.
// @ts-check
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError } from './process.mjs'

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '')
/** Everything the set-up provides lies here and nowhere else (system packages aside); deleting it undoes the set-up. */
export const AXPO = join(ROOT, '.axpo')

/**
 * @typedef {object} Context
 * @property {boolean} offline
 * @property {(line: string) => void} say   one line for the user
 * @property {string[]} missing             what --offline could not provide
 * @property {NodeJS.ProcessEnv} env        for every program the set-up starts
 */

/**
 * @param {{ offline?: boolean }} options
 * @returns {Context}
 */
export function createContext(options) {
  try {
    mkdirSync(AXPO, { recursive: true })
    accessSync(AXPO, constants.W_OK)
  } catch (error) {
    throw new SetupError(
      `setup: ${AXPO} must be writable, got ${messageOf(error)}. Clone the repository into a folder of your own, or free the disk.`,
    )
  }
  const say = (/** @type {string} */ line) => void process.stderr.write(`axpo: ${line}\n`)
  return { offline: options.offline === true, say, missing: [], env: createEnv(process.env, homeOf()) }
}

/** HOME if it can be written, else one of our own: npm, pnpm and driver caches go there. */
function homeOf() {
  const home = homedir()
  try {
    accessSync(home, constants.W_OK)
    return home
  } catch {
    const own = join(AXPO, 'home')
    mkdirSync(own, { recursive: true })
    return own
  }
}

/**
 * The caller's environment less what an outer `npm start` put there about its own run.
 * @param {NodeJS.ProcessEnv} outer
 * @param {string} home
 * @returns {NodeJS.ProcessEnv}
 */
export function createEnv(outer, home) {
  const scoped =
    /^npm_(lifecycle_|package_|command$|node_execpath$|config_(local_prefix|global_prefix|prefix|offline)$)/
  /** @type {NodeJS.ProcessEnv} */
  const env = {}
  for (const [name, value] of Object.entries(outer)) if (!scoped.test(name)) env[name] = value
  if (home !== outer.HOME) {
    const settings = join(outer.HOME ?? '', '.npmrc')
    if (!env.npm_config_userconfig && canRead(settings)) env.npm_config_userconfig = settings
    env.HOME = home
    env.npm_config_cache = join(home, '.npm')
    env.XDG_CACHE_HOME = join(home, '.cache')
    env.XDG_DATA_HOME = join(home, '.local', 'share')
  }
  env.TURBO_TELEMETRY_DISABLED = '1'
  env.npm_config_update_notifier = 'false'
  return env
}

/** @param {string} path */
function canRead(path) {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/**
 * One set-up at a time in one folder: a second waits for the first, a dead one's lock is taken over.
 * @param {Context} context
 * @returns {Promise<() => void>} gives the lock back
 */
export async function takeLock(context) {
  const path = join(AXPO, 'setup.lock')
  const giveUpAtMs = Date.now() + 15 * 60_000
  for (let told = false; ; ) {
    try {
      const file = openSync(path, 'wx')
      writeSync(file, String(process.pid))
      closeSync(file)
      return () => rmSync(path, { force: true })
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') {
        throw new SetupError(
          `setup: ${path} must be writable, got ${messageOf(error)}. Free the disk or own the folder.`,
        )
      }
    }
    const owner = ownerOf(path)
    if (owner === null) rmSync(path, { force: true })
    else if (Date.now() > giveUpAtMs) {
      throw new SetupError(
        `setup: another set-up (process ${owner}) must end, got none for 15 minutes. End it, then run again.`,
      )
    } else {
      if (!told) context.say(`waiting for another set-up of this folder (process ${owner})`)
      told = true
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }
}

/** The live process that holds the lock, or null for a dead one's. A lock just made may still be empty: counts as live. */
function ownerOf(/** @type {string} */ path) {
  try {
    const text = readFileSync(path, 'utf8')
    if (text === '') return Number.NaN
    process.kill(Number(text), 0)
    return Number(text)
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM' ? Number.NaN : null
  }
}

/**
 * Fails early rather than half-way through an install.
 * @param {number} neededBytes
 */
export function checkDisk(neededBytes) {
  let freeBytes = 0
  try {
    const { bavail, bsize } = statfsSync(AXPO)
    freeBytes = bavail * bsize
  } catch {
    return
  }
  if (freeBytes < neededBytes) {
    const megabytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 1e6)} MB`
    throw new SetupError(
      `setup: ${ROOT} needs ${megabytes(neededBytes)} free, got ${megabytes(freeBytes)}. Free some disk, or clone to another one.`,
    )
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}
