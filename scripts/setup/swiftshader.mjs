// SwiftShader, a Vulkan driver that runs on the CPU, and a Vulkan loader, out of a registry package: needs no root.
// Not here: whether Dawn accepts it (vulkan.mjs probes).
// @ts-check
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { AXPO, checkDisk, messageOf } from './context.mjs'
import { readStamp, writeStamp } from './fingerprint.mjs'
import { explainFailure, SetupError } from './process.mjs'
import { readTar } from './tar.mjs'
import { npm } from './toolchain.mjs'

/** @typedef {import('./context.mjs').Context} Context */

export const PACKAGE = '@sparticuz/chromium@147.0.0'
const INTEGRITY = 'sha512-4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=='
const INNER = 'package/bin/swiftshader.tar.br'
const WANTED = new Set(['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'])
const FOLDER = join(AXPO, 'swiftshader')

/** The package holds x86-64 Linux binaries only. */
export function hasSwiftShader() {
  return process.platform === 'linux' && process.arch === 'x64'
}

/** Already there? */
export function swiftShaderPresent() {
  return (
    readStamp(join(FOLDER, 'stamp.json'), PACKAGE) !== null &&
    [...WANTED].every((name) => existsSync(join(FOLDER, name)))
  )
}

/** What a child process needs to use it. */
export function swiftShaderEnv() {
  const driver = join(FOLDER, 'vk_swiftshader_icd.json')
  return { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver, ...loaderEnv() }
}

/** What a child process needs to use its Vulkan loader with the system's drivers. */
export function loaderEnv() {
  const outer = process.env.LD_LIBRARY_PATH
  return { LD_LIBRARY_PATH: outer ? `${FOLDER}:${outer}` : FOLDER }
}

/**
 * @param {Context} context
 * @returns {Promise<boolean>} false: offline and never fetched
 */
export async function ensureSwiftShader(context) {
  if (swiftShaderPresent()) return true
  checkDisk(250_000_000)
  const work = `${FOLDER}.partial`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    context.say(
      `getting SwiftShader, a Vulkan driver for the CPU (68 MB, out of npm's ${PACKAGE}) into .axpo/swiftshader`,
    )
    const archive = await download(context, work)
    if (archive === null) return false
    extract(archive, work)
    rmSync(FOLDER, { recursive: true, force: true })
    renameSync(work, FOLDER)
    writeStamp(join(FOLDER, 'stamp.json'), PACKAGE)
    return true
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * The package's .tgz, its contents checked against the pinned hash; null when offline and not in npm's cache.
 * @param {Context} context
 * @param {string} work
 */
export async function download(context, work) {
  const args = ['pack', PACKAGE, '--pack-destination', work, '--json', '--loglevel=error']
  if (context.offline) args.push('--offline')
  const result = await npm(context, args, work)
  if (result.code !== 0) {
    if (context.offline && !result.missing) return null
    throw new SetupError(explainFailure(`setup: npm pack ${PACKAGE}`, result))
  }
  const path = join(work, 'sparticuz-chromium-147.0.0.tgz')
  const bytes = readFileSync(path)
  rmSync(path)
  const got = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
  if (got !== INTEGRITY) {
    throw new SetupError(
      `setup: ${PACKAGE} must have integrity ${INTEGRITY}, got ${got}. Check the registry that served it.`,
    )
  }
  return bytes
}

/**
 * @param {Buffer} archive  the package's .tgz
 * @param {string} folder
 */
function extract(archive, folder) {
  try {
    for (const outer of readTar(gunzipSync(archive))) {
      if (outer.name !== INNER) continue
      for (const file of readTar(brotliDecompressSync(outer.data))) {
        const name = file.name.replace(/^\.\//, '')
        if (WANTED.has(name)) writeFileSync(join(folder, name), file.data, { mode: 0o644 })
      }
    }
  } catch (error) {
    throw new SetupError(
      `setup: ${PACKAGE} must unpack into .axpo/swiftshader, got ${messageOf(error)}. Free the disk, then run again.`,
    )
  }
  const lacking = [...WANTED].filter((name) => !existsSync(join(folder, name)))
  if (lacking.length > 0)
    throw new SetupError(
      `setup: ${INNER} must hold ${[...WANTED].join(', ')}, got none of ${lacking.join(', ')}. Report it.`,
    )
}
