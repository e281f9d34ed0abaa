#!/usr/bin/env node
// A headless Chromium for the browser tests: the system's `chromium` where there is one, else the one inside the registry package that
// SwiftShader comes from, into .axpo/chromium with the libraries and fonts it needs. Run by itself it prints {"path", "env"}.
// Not here: starting it (packages/model/src/browser). npm start never needs it.
// @ts-check
import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { AXPO, checkDisk, createContext, messageOf, takeLock } from './context.mjs'
import { readStamp, writeStamp } from './fingerprint.mjs'
import { SetupError } from './process.mjs'
import { download, hasSwiftShader, PACKAGE } from './swiftshader.mjs'
import { readTar } from './tar.mjs'

/** @typedef {import('./context.mjs').Context} Context */
/** @typedef {{ path: string, env: Record<string, string> }} Chromium */

const FOLDER = join(AXPO, 'chromium')
const PROGRAM = 'chromium'
/** The package's own names folders of another system. */
const FONTS = '<fontconfig><dir prefix="relative">fonts</dir></fontconfig>\n'
/** Archives inside the package: SwiftShader and ANGLE, NSS and expat (lib/), fonts (fonts/). */
const ARCHIVES = ['swiftshader', 'al2023', 'fonts']

/** The first `chromium` on PATH that can be run. */
function installed() {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, PROGRAM)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // the next folder
    }
  }
  return null
}

/**
 * @param {Context} context
 * @returns {Promise<Chromium>} the program, and what its environment needs
 */
export async function ensureChromium(context) {
  const system = installed()
  if (system) return { path: system, env: {} }
  if (!hasSwiftShader())
    throw new SetupError(
      `setup: a browser test needs \`chromium\` on PATH, got none, and ${PACKAGE} holds one for Linux x64 only, got ${process.platform} ${process.arch}. Install chromium, or set AXPO_BROWSER=none to skip.`,
    )
  const chromium = { path: join(FOLDER, PROGRAM), env: environment() }
  const stamp = join(FOLDER, 'stamp.json')
  if (readStamp(stamp, PACKAGE) !== null && existsSync(chromium.path)) return chromium
  const release = await takeLock(context)
  try {
    if (readStamp(stamp, PACKAGE) !== null && existsSync(chromium.path)) return chromium
    await unpack(context)
    writeStamp(stamp, PACKAGE)
    return chromium
  } finally {
    release()
  }
}

function environment() {
  const libraries = [join(FOLDER, 'lib'), process.env.LD_LIBRARY_PATH ?? ''].filter((folder) => folder !== '')
  /** @type {Record<string, string>} */
  const env = { LD_LIBRARY_PATH: libraries.join(delimiter) }
  if (!existsSync('/etc/fonts/fonts.conf')) env.FONTCONFIG_PATH = FOLDER
  return env
}

/** @param {Context} context */
async function unpack(context) {
  checkDisk(500_000_000)
  const work = `${FOLDER}.partial`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    context.say(`getting Chromium (68 MB, out of npm's ${PACKAGE}) into .axpo/chromium`)
    // the set-up of a software adapter may have left it in npm's cache
    const cached = await download({ ...context, offline: true }, work)
    const archive = cached ?? (context.offline ? null : await download(context, work))
    if (archive === null)
      throw new SetupError(
        `setup: the browser test needs Chromium, got none and --offline. Run once with a network, install chromium, or set AXPO_BROWSER=none to skip.`,
      )
    extract(archive, work)
    writeFileSync(join(work, 'fonts.conf'), FONTS)
    rmSync(FOLDER, { recursive: true, force: true })
    renameSync(work, FOLDER)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * @param {Buffer} archive  the package's .tgz
 * @param {string} folder
 */
function extract(archive, folder) {
  const wanted = new Map([['package/bin/chromium.br', PROGRAM], ...ARCHIVES.map((name) => inner(name))])
  try {
    for (const { name, data } of readTar(gunzipSync(archive))) {
      const found = wanted.get(name)
      if (found === undefined) continue
      wanted.delete(name)
      const bytes = brotliDecompressSync(data)
      if (found === PROGRAM) writeFileSync(join(folder, PROGRAM), bytes, { mode: 0o755 })
      else for (const file of readTar(bytes)) place(folder, file)
    }
  } catch (error) {
    throw new SetupError(
      `setup: ${PACKAGE} must unpack into .axpo/chromium, got ${messageOf(error)}. Free the disk, then run again.`,
    )
  }
  if (wanted.size > 0)
    throw new SetupError(`setup: ${PACKAGE} must hold ${[...wanted.keys()].join(', ')}, got none. Report it.`)
}

/** @returns {[string, string]} */
function inner(/** @type {string} */ name) {
  return [`package/bin/${name}.tar.br`, name]
}

/**
 * @param {string} folder
 * @param {import('./tar.mjs').TarFile} file
 */
function place(folder, { name, data }) {
  const parts = name.split('/').filter((part) => part !== '.' && part !== '')
  if (parts.includes('..')) throw new Error(`a file outside the folder, ${name}`)
  mkdirSync(join(folder, ...parts.slice(0, -1)), { recursive: true })
  writeFileSync(join(folder, ...parts), data, { mode: 0o755 })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const context = createContext({ offline: process.argv.includes('--offline') })
    process.stdout.write(`${JSON.stringify(await ensureChromium(context))}\n`)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    process.stderr.write(`axpo: ${error.message}\n`)
    process.exitCode = 1
  }
}
