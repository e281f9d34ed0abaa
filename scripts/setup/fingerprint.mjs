// Stamps: a step is skipped when the bytes it depends on are those of its last success and what it made is still there.
// Not here: what the steps do.
// @ts-check
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const NEVER_INPUT = new Set(['node_modules', 'build', 'dist', '.turbo', 'runs'])

/**
 * SHA-256 over names and contents, in the order given; a missing file counts as such.
 * @param {string} root
 * @param {string[]} files   relative to root
 * @param {string[]} [extra] other facts the step depends on
 */
export function hashFiles(root, files, extra = []) {
  const hash = createHash('sha256')
  for (const fact of extra) hash.update(`${fact}\n`)
  for (const file of files) {
    const path = join(root, file)
    const bytes = existsSync(path) ? readFileSync(path) : Buffer.from('missing')
    hash.update(`${file} ${bytes.length}\n`).update(bytes)
  }
  return hash.digest('hex')
}

/**
 * Files under a folder that fit, sorted, relative to root; build outputs and node_modules left out.
 * @param {string} root
 * @param {string} folder
 * @param {(path: string) => boolean} fits
 * @returns {string[]}
 */
export function listFiles(root, folder, fits) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  /** @type {string[]} */
  const found = []
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!NEVER_INPUT.has(entry.name)) found.push(...listFiles(root, child, fits))
    } else if (fits(child)) found.push(child)
  }
  return found.sort()
}

/**
 * Workspace folders that hold a package.json.
 * @param {string} root
 * @returns {string[]} relative to root, sorted
 */
export function listPackages(root) {
  return ['packages', 'apps']
    .filter((group) => existsSync(join(root, group)))
    .flatMap((group) => readdirSync(join(root, group)).map((name) => join(group, name)))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort()
}

/**
 * @param {string} path
 * @param {string} key
 * @returns {Record<string, unknown> | null} what was stamped under this very key, else null
 */
export function readStamp(path, key) {
  try {
    const stamp = JSON.parse(readFileSync(path, 'utf8'))
    return stamp.key === key ? stamp : null
  } catch {
    return null
  }
}

/**
 * Whole or not at all: written beside, then renamed.
 * @param {string} path
 * @param {string} key
 * @param {Record<string, unknown>} [facts]
 */
export function writeStamp(path, key, facts = {}) {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.${process.pid}`
  writeFileSync(partial, `${JSON.stringify({ key, ...facts }, null, 2)}\n`)
  renameSync(partial, path)
}
