// Which WebGPU adapter a child process can have, and the environment variables it needs for it. Order: a real GPU; an
// installed software driver that Dawn accepts; as root on apt systems, one installed; else SwiftShader from npm.
// Not here: opening it for work (packages/kernels/src/webgpu/adapter.ts). Every look is in a child process: drivers crash.
// @ts-check
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installMesa, planAptHere } from './apt.mjs'
import { AXPO, ROOT } from './context.mjs'
import { writeStamp } from './fingerprint.mjs'
import { run, SetupError } from './process.mjs'
import { ensureSwiftShader, hasSwiftShader, loaderEnv, swiftShaderEnv, swiftShaderPresent } from './swiftshader.mjs'

/** @typedef {import('./context.mjs').Context} Context */

/**
 * @typedef {object} Found
 * @property {'gpu' | 'software' | 'none'} kind
 * @property {string} name                       the adapter's, for people
 * @property {'system' | 'apt' | 'swiftshader' | 'none'} source
 * @property {Record<string, string>} env        what the child process needs
 * @property {string} reason                     one clause: why this one
 */

/** 'gpu': look for a real GPU, install nothing. 'any': a software adapter is wanted too, installed if need be. */
/** @typedef {'gpu' | 'any'} Want */

/** AXPO_ADAPTER holds the search to one path: to try it, or to keep apt out. */
const FORCIBLE = ['system', 'apt', 'swiftshader', 'none']
const PROBE = fileURLToPath(new URL('./probe-adapter.mjs', import.meta.url))
/** A cold driver compiles its first shader; a broken one hangs. */
const PROBE_TIMEOUT_MS = 45_000

/**
 * @param {Context} context
 * @param {string} node
 * @param {Want} want
 * @returns {Promise<Found>} kind 'none' only for want 'gpu', AXPO_ADAPTER=none, or noted as missing when offline
 */
export async function findVulkan(context, node, want) {
  const forced = process.env.AXPO_ADAPTER || undefined
  if (forced && !FORCIBLE.includes(forced)) {
    throw new SetupError(
      `setup: AXPO_ADAPTER must be one of ${FORCIBLE.join(', ')}, got ${forced}. Correct or unset it.`,
    )
  }
  if (forced === 'none') return none('AXPO_ADAPTER=none')
  const cache = join(AXPO, want === 'any' ? 'adapter.json' : 'adapter-gpu.json')
  const cached = readCache(cache, machineKey(forced))
  if (cached) return cached
  const missingCount = context.missing.length
  const found = await search(context, node, want, forced)
  if (context.missing.length === missingCount) writeStamp(cache, machineKey(forced), { found })
  return found
}

/**
 * The order itself; nothing is remembered.
 * @param {Context} context
 * @param {string} node
 * @param {Want} want
 * @param {string | undefined} forced
 * @returns {Promise<Found>}
 */
export async function search(context, node, want, forced) {
  /** @type {string[]} */
  const refused = []
  if (!forced || forced === 'system') {
    const system = await trySystem(context, node, refused)
    if (system.kind === 'gpu' || (system.kind === 'software' && want === 'any')) return system
    if (system.kind === 'software') refused.push(`only the software adapter ${system.name}`)
  }
  if (want === 'gpu') return none(refused.join('; ').replace(/^system: /, '') || `AXPO_ADAPTER=${forced}`)
  if (!forced || forced === 'apt') {
    const installed = await tryApt(context, node, refused)
    if (installed) return installed
  }
  if (!forced || forced === 'swiftshader') {
    const swiftshader = await trySwiftShader(context, node, refused)
    if (swiftshader) return swiftshader
  }
  if (context.offline) {
    context.missing.push(`a WebGPU adapter (${refused.join('; ')})`)
    return none(refused.join('; '))
  }
  throw new SetupError(
    `setup: a WebGPU adapter is needed, got none: ${refused.join('; ')}. Install a Vulkan driver (Mesa >= 23.2 has lavapipe), or use --device cpu.`,
  )
}

/**
 * @param {Context} context
 * @param {string} node
 * @param {string[]} refused
 * @returns {Promise<Found>}
 */
async function trySystem(context, node, refused) {
  const found = await probe(context, node, {})
  if (found.ok) return { ...found.adapter, source: 'system', env: {}, reason: 'this system has it' }
  refused.push(`system: ${found.why}`)
  const loaderless = hasGpuDriver() && !hasLoader() && hasSwiftShader() && (swiftShaderPresent() || !context.offline)
  if (loaderless && (await ensureSwiftShader(context))) {
    const lent = await probe(context, node, loaderEnv())
    if (lent.ok)
      return { ...lent.adapter, source: 'system', env: loaderEnv(), reason: "this system's driver, our Vulkan loader" }
  }
  return none(found.why)
}

/**
 * @param {Context} context
 * @param {string} node
 * @param {string[]} refused
 * @returns {Promise<Found | null>}
 */
async function tryApt(context, node, refused) {
  const plan = planAptHere()
  if (!plan.ok || context.offline) {
    refused.push(`apt: ${plan.ok ? 'offline' : plan.why}`)
    return null
  }
  const failure = await installMesa(context, plan.backports)
  if (failure !== null) {
    context.say(`apt gave no driver, going on to SwiftShader. ${failure}`)
    refused.push(`apt: ${failure}`)
    return null
  }
  const found = await probe(context, node, {})
  if (found.ok) return { ...found.adapter, source: 'apt', env: {}, reason: 'installed with apt' }
  refused.push(`apt: mesa-vulkan-drivers is installed, but ${found.why}`)
  return null
}

/**
 * @param {Context} context
 * @param {string} node
 * @param {string[]} refused
 * @returns {Promise<Found | null>}
 */
async function trySwiftShader(context, node, refused) {
  if (!hasSwiftShader()) {
    refused.push(`SwiftShader: packaged for linux-x64 only, this is ${process.platform}-${process.arch}`)
    return null
  }
  if (!(await ensureSwiftShader(context))) {
    refused.push('SwiftShader: never fetched, and offline')
    return null
  }
  const found = await probe(context, node, swiftShaderEnv())
  if (found.ok)
    return { ...found.adapter, source: 'swiftshader', env: swiftShaderEnv(), reason: 'from the npm registry' }
  refused.push(`SwiftShader: ${found.why}`)
  return null
}

/**
 * @param {Context} context
 * @param {string} node
 * @param {Record<string, string>} env
 * @returns {Promise<{ ok: true, adapter: { kind: 'gpu' | 'software', name: string } } | { ok: false, why: string }>}
 */
async function probe(context, node, env) {
  const result = await run(node, ['--disable-warning=ExperimentalWarning', PROBE], {
    cwd: ROOT,
    env: { ...context.env, ...env },
    timeoutMs: PROBE_TIMEOUT_MS,
  })
  return readProbe(result)
}

/**
 * What a probe's end says; drivers may print lines of their own before.
 * @param {import('./process.mjs').RunResult} result
 * @returns {{ ok: true, adapter: { kind: 'gpu' | 'software', name: string } } | { ok: false, why: string }}
 */
export function readProbe(result) {
  if (result.timedOut) return { ok: false, why: `its driver did not answer in ${PROBE_TIMEOUT_MS / 1000} s` }
  if (result.signal) return { ok: false, why: `its driver crashed (${result.signal})` }
  const lines = result.stdout.trim().split('\n')
  const last = lines[lines.length - 1] ?? ''
  if (result.code !== 0) {
    const told = result.stderr.split('\n').find((line) => /^\w*Error/.test(line))
    return { ok: false, why: `its driver failed (${told ?? `exit code ${result.code}`})` }
  }
  const adapter = last === 'null' ? null : JSON.parse(last)
  if (adapter) return { ok: true, adapter: { kind: adapter.kind, name: adapter.name } }
  const loader = /libvulkan\S*: cannot open shared object/.test(result.stderr)
  return { ok: false, why: loader ? 'no Vulkan loader' : 'no driver that Dawn accepts' }
}

/** @returns {Found} */
function none(/** @type {string} */ reason) {
  return { kind: 'none', name: 'none', source: 'none', env: {}, reason }
}

const DRIVER_FOLDERS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']
const LOADERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
].map((folder) => join(folder, 'libvulkan.so.1'))

function hasLoader() {
  return LOADERS.some((path) => existsSync(path))
}

/** Driver files that are not a software driver's, and a device node: a real GPU is likely. */
function hasGpuDriver() {
  const drivers = DRIVER_FOLDERS.flatMap(namesIn).filter((name) => !/lvp|swiftshader/.test(name))
  return drivers.length > 0 && namesIn('/dev').some((name) => /^(nvidia\d|dri$)/.test(name))
}

/** @returns {string[]} */
function namesIn(/** @type {string} */ folder) {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

/** All that decides which adapter a process gets, as a hash: cheap, so that every start can check it. */
function machineKey(/** @type {string | undefined} */ forced) {
  const files = [...DRIVER_FOLDERS.flatMap((folder) => namesIn(folder).map((name) => join(folder, name))), ...LOADERS]
  const stamps = files.filter((path) => existsSync(path)).map((path) => `${path} ${statSync(path).mtimeMs}`)
  const variables = [
    'VK_DRIVER_FILES',
    'VK_ICD_FILENAMES',
    'VK_ADD_DRIVER_FILES',
    'LD_LIBRARY_PATH',
    'CUDA_VISIBLE_DEVICES',
  ]
  const facts = [
    ...stamps,
    ...variables.map((name) => `${name}=${process.env[name] ?? ''}`),
    ...namesIn('/dev/dri'),
    ...namesIn('/dev').filter((name) => name.startsWith('nvidia')),
    `${process.platform} ${process.arch} ${release()} ${process.getuid?.() === 0} ${forced ?? ''}`,
  ]
  return createHash('sha256').update(facts.join('\n')).digest('hex')
}

/** @returns {Found | null} */
function readCache(/** @type {string} */ path, /** @type {string} */ key) {
  try {
    const { key: stamped, found } = JSON.parse(readFileSync(path, 'utf8'))
    if (stamped !== key) return null
    return found.source === 'swiftshader' && !swiftShaderPresent() ? null : found
  } catch {
    return null
  }
}
