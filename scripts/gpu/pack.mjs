#!/usr/bin/env node
// Packs what must travel to try a GPU machine that has no network: Node, Dawn, kernels, model, benchmarks. One file under 64 MB.
//   node scripts/gpu/pack.mjs [FILE.tar.gz]      then there: tar xzf FILE.tar.gz && axpo-gpu/run.sh
// @ts-check
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { AXPO, ROOT } from '../setup/context.mjs'
import { run, SetupError } from '../setup/process.mjs'
import { runMain, setup } from '../setup.mjs'

const LIMIT_BYTES = 64_000_000
const SOURCES = ['packages/kernels', 'packages/model', 'benchmarks', 'scripts/gpu', 'LICENSE']
const SKIPPED = /\.test\.ts$|[/\\](node_modules|golden|browser|peers|results)([/\\]|$)/
/** Outside packages by the package of ours that depends on them; ours run from their sources. */
const OUTSIDE = { kernels: ['webgpu'], model: ['@huggingface/jinja', '@huggingface/tokenizers'] }
/** Dawn for other systems stays here. */
const OTHER_SYSTEMS = /[/\\]dist[/\\](darwin|win32|linux-(?!x64))/

/** @param {string} node  @param {string} folder */
function stage(node, folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'bin'), { recursive: true })
  cpSync(realpathSync(node), join(folder, 'bin', 'node'))
  for (const path of SOURCES)
    cpSync(join(ROOT, path), join(folder, path), {
      recursive: true,
      filter: (file) => !SKIPPED.test(relative(ROOT, file)),
    })
  for (const [owner, names] of Object.entries(OUTSIDE))
    for (const name of names) {
      const from = realpathSync(join(ROOT, 'packages', owner, 'node_modules', name))
      const filter = (/** @type {string} */ file) => !OTHER_SYSTEMS.test(relative(from, file).replace(/^/, '/'))
      cpSync(from, join(folder, 'node_modules', name), { recursive: true, filter })
    }
  mkdirSync(join(folder, 'node_modules', '@axpo'), { recursive: true })
  for (const name of ['kernels', 'model'])
    symlinkSync(join('..', '..', 'packages', name), join(folder, 'node_modules', '@axpo', name))
  symlinkSync(join('scripts', 'gpu', 'run.sh'), join(folder, 'run.sh'))
}

await runMain(async () => {
  const { node } = await setup({ adapter: 'none', quiet: true })
  const target = resolve(process.argv[2] ?? join(AXPO, 'axpo-gpu.tar.gz'))
  if (!existsSync(dirname(target)))
    throw new SetupError(`pack: ${dirname(target)} must exist, got no such folder. Make it.`)
  const folder = join(AXPO, 'gpu', 'axpo-gpu')
  stage(node, folder)
  const { code, stderr } = await run('tar', ['czf', target, '-C', dirname(folder), 'axpo-gpu'], {})
  if (code !== 0) throw new SetupError(`pack: tar must succeed, got code ${code}: ${stderr}`)
  rmSync(dirname(folder), { recursive: true })
  const { size } = statSync(target)
  if (size > LIMIT_BYTES)
    throw new SetupError(`pack: ${target} must be under ${LIMIT_BYTES} bytes, got ${size}. Leave something out.`)
  process.stdout.write(`${target}: ${(size / 1e6).toFixed(1)} MB. There: tar xzf, then axpo-gpu/run.sh\n`)
  return 0
})
