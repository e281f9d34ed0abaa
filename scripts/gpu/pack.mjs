#!/usr/bin/env node
// Packs what must travel to try a GPU machine that has no network: Node, Dawn, the project's sources, the benchmarks, and transformers for a PyTorch that is
// there. One file under 64 MB.
//   node scripts/gpu/pack.mjs [FILE.tar.gz] [--peers FOLDER] [--python 3.12]      then there: tar xzf FILE.tar.gz && axpo-gpu/run.sh
// FOLDER: where `npm run bench:peers` installed its peers, default in the system's temporary folder. --python: the version there.
// @ts-check
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { AXPO, ROOT } from '../setup/context.mjs'
import { run, SetupError } from '../setup/process.mjs'
import { runMain, setup } from '../setup.mjs'
import { copyPython } from './pack-python.mjs'

const LIMIT_BYTES = 64_000_000
const OWN = {
  kernels: 'packages',
  trajectory: 'packages',
  advantage: 'packages',
  model: 'packages',
  agent: 'packages',
  policy: 'packages',
  tasks: 'packages',
  eval: 'apps',
  train: 'apps',
}
const MORE = ['benchmarks', 'scripts/gpu', 'LICENSE']
const SKIPPED = /\.test\.ts$|[/\\](node_modules|golden|goldens|browser|results|checkpoints)([/\\]|$)/
/** Outside packages that nothing of this needs: the python tool's interpreter, MCP servers. */
const UNUSED = ['pyodide', '@modelcontextprotocol/sdk']
/** Dawn for other systems stays here, and what nothing reads at run time. */
const NOT_RUN = /[/\\]dist[/\\](darwin|win32|linux-(?!x64))|\.(d\.[cm]?ts|map|md|markdown)$/

/** @param {string} folder  @returns {string[]} names of the outside packages it depends on */
function outsideOf(folder) {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return Object.keys(dependencies).filter((name) => !name.startsWith('@axpo/') && !UNUSED.includes(name))
}

/**
 * Copies a package and all that it needs, each once, side by side.
 * @param {string} name  @param {string} modules the node_modules it is found in  @param {string} target
 */
function copyPackage(name, modules, target) {
  if (existsSync(join(target, name))) return
  const from = realpathSync(join(modules, name))
  const filter = (/** @type {string} */ file) => !NOT_RUN.test(relative(from, file).replace(/^/, '/'))
  cpSync(from, join(target, name), { recursive: true, filter })
  // what a package depends on lies beside it
  const beside = join(from, ...name.split('/').map(() => '..'))
  for (const dependency of outsideOf(from)) copyPackage(dependency, beside, target)
}

/** @param {string} node  @param {string} folder */
function stage(node, folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'bin'), { recursive: true })
  cpSync(realpathSync(node), join(folder, 'bin', 'node'))
  const own = Object.entries(OWN).map(([name, floor]) => ({ name, path: join(floor, name) }))
  for (const path of [...own.map((one) => one.path), ...MORE])
    cpSync(join(ROOT, path), join(folder, path), {
      recursive: true,
      filter: (file) => !SKIPPED.test(relative(ROOT, file)),
    })
  const modules = join(folder, 'node_modules')
  for (const { path } of own)
    for (const name of outsideOf(join(ROOT, path))) copyPackage(name, join(ROOT, path, 'node_modules'), modules)
  mkdirSync(join(modules, '@axpo'), { recursive: true })
  for (const { name, path } of own) symlinkSync(join('..', '..', path), join(modules, '@axpo', name))
  symlinkSync(join('scripts', 'gpu', 'run.sh'), join(folder, 'run.sh'))
}

await runMain(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { peers: { type: 'string', default: join(tmpdir(), 'axpo-peers') }, python: { type: 'string' } },
  })
  const { node } = await setup({ adapter: 'none', quiet: true })
  const target = resolve(positionals[0] ?? join(AXPO, 'axpo-gpu.tar.gz'))
  if (!existsSync(dirname(target)))
    throw new SetupError(`pack: ${dirname(target)} must exist, got no such folder. Make it.`)
  const folder = join(AXPO, 'gpu', 'axpo-gpu')
  stage(node, folder)
  const python = await copyPython(values.peers, join(folder, 'python'), values.python)
  const { code, stderr } = await run('tar', ['czf', target, '-C', dirname(folder), 'axpo-gpu'], {})
  if (code !== 0) throw new SetupError(`pack: tar must succeed, got code ${code}: ${stderr}`)
  rmSync(dirname(folder), { recursive: true })
  const { size } = statSync(target)
  if (size > LIMIT_BYTES)
    throw new SetupError(`pack: ${target} must be under ${LIMIT_BYTES} bytes, got ${size}. Leave something out.`)
  process.stdout.write(`${python}\n${target}: ${(size / 1e6).toFixed(1)} MB. There: tar xzf, then axpo-gpu/run.sh\n`)
  return 0
})
