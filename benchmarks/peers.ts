/**
 * `pnpm bench:peers`: the same work in our code and in the peers, one after the other, round after round, on the same machine and threads.
 *   pnpm bench:peers [--only python,trl,js,products] [--device cpu|gpu] [--build plain|fma|wide] [--quick] [--repetitions n] [--write [--busy]]
 *     [--folder <of the installed peers>] [--python <makes their environment>] [--interpreter <has PyTorch already>] [--packages <more for it>]
 * --device gpu: ours on WebGPU against PyTorch on CUDA, python and trl only.
 * PyTorch eager (training step), transformers' generate, TRL's GRPOTrainer (whole step), training steps of jax-js and tfjs, matrix products of these and
 * of onnxruntime-web.
 * Not here: how the peers are installed (peers/install.ts) or what they run (peers/torch_peer.py, peers/js/*).
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { checkQuiet, readLoad } from './load.ts'
import { choose, cpuBuilds, parseRepetitions } from './options.ts'
import { defaultInstall, installJavaScript, installPython } from './peers/install.ts'
import { compareTextTraining } from './peers/javascript.ts'
import { compareProducts } from './peers/products.ts'
import { comparePyTorch, compareTrl } from './peers/python.ts'
import type { PythonPeer } from './peers/python-process.ts'
import { printTable, type Table, writeReport } from './report.ts'

const parts = ['python', 'trl', 'js', 'products'] as const
type Part = (typeof parts)[number]
const gpuParts: readonly Part[] = ['python', 'trl']

const leftOut =
  'JavaScript peers left out. No training: onnxruntime-web and transformers.js (in the products, on which transformers.js runs too), node-llama-cpp. No prebuilt binary without a network beyond npm: tfjs-node. Not on npm: torchlette, Piston. WebGPU here is a driver on the CPU, where tfjs-webgpu takes seven times as long a training step as jax-js wasm, jax-js on WebGPU eleven times and two minutes to compile, and webgpu-torch reaches 0.5 GFLOP/s (measured once, no figures of this report).'

export interface Comparison {
  readonly tables: readonly Table[]
  readonly samples: unknown
}

/** Which PyTorch, and where it comes from: installed here, or an interpreter that has it already. */
async function findPython(options: ReturnType<typeof parse>): Promise<PythonPeer | { readonly failure: string }> {
  const device = options.device === 'gpu' ? 'cuda' : 'cpu'
  const packages = options.packages ? { packages: options.packages } : {}
  if (options.interpreter) return { interpreter: options.interpreter, scratch: options.folder, device, ...packages }
  const installed = await installPython(options)
  if ('failure' in installed) return installed
  const { path } = installed
  return { interpreter: join(path, 'bin', 'python'), scratch: join(path, 'scratch'), device }
}

/** An interpreter that was given need not have TRL. One that was installed here has it. */
async function hasTrl(options: ReturnType<typeof parse>): Promise<boolean> {
  if (!options.interpreter || options.asked.includes('trl')) return true
  const look = "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('trl') else 1)"
  return promisify(execFile)(options.interpreter, ['-c', look]).then(
    () => true,
    () => false,
  )
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      device: { type: 'string', default: 'cpu' },
      quick: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      write: { type: 'boolean', default: false },
      busy: { type: 'boolean', default: false },
      folder: { type: 'string', default: defaultInstall.folder },
      python: { type: 'string', default: defaultInstall.python },
      interpreter: { type: 'string' },
      packages: { type: 'string' },
      build: { type: 'string' },
    },
  })
  if (values.device !== 'cpu' && values.device !== 'gpu')
    throw new Error(`peers: --device must be cpu or gpu, got ${values.device}. Correct it.`)
  const build = values.build === undefined ? undefined : choose('build', values.build, cpuBuilds)
  const all: readonly Part[] = values.device === 'gpu' ? gpuParts : parts
  const only: readonly string[] = values.only?.split(',') ?? all
  const unknown = only.find((name) => !all.some((part) => part === name))
  if (unknown)
    throw new Error(`peers: --only must be some of ${all.join(', ')} on ${values.device}, got ${unknown}. Correct it.`)
  return { ...values, build, only, asked: values.only?.split(',') ?? [], whole: only.length === all.length }
}

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const options = parse(args)
  const effort = { quick: options.quick, repetitions: parseRepetitions(options.repetitions), build: options.build }
  const load = await readLoad()
  if (options.write) checkQuiet(load, options.busy)
  const notes = [
    'All contenders in turn, round after round; who is not measured is stopped. Medians. Installing is not timed.',
    ...(options.device === 'cpu' ? [leftOut] : []),
    ...(options.build ? [`Our CPU kernels: build ${options.build}.`] : []),
  ]
  const tables: Table[] = []
  const samples: Record<string, unknown> = {}
  const [python, js] = [await findPython(options), options.device === 'cpu' ? await installJavaScript(options) : null]
  for (const found of [python, js]) if (found && 'failure' in found) notes.push(found.failure)
  const start = performance.now()
  let failed = false
  const measure = async (name: Part, compare: () => Promise<Comparison>) => {
    if (!options.only.includes(name)) return
    try {
      const result = await compare()
      for (const table of result.tables) printTable(table)
      tables.push(...result.tables)
      samples[name] = result.samples
    } catch (error) {
      failed = true
      notes.push(`${name}: could not be compared: ${(error as Error).message}`)
    }
  }
  if (!('failure' in python)) {
    await measure('python', () => comparePyTorch(python, effort))
    if (await hasTrl(options)) await measure('trl', () => compareTrl(python, effort))
    else if (options.only.includes('trl'))
      notes.push(`trl: left out: ${python.interpreter} has no TRL. Install it there to compare.`)
  }
  const folder = js && 'path' in js ? js.path : null
  if (folder) await measure('js', () => compareTextTraining(folder, effort))
  if (options.device === 'cpu')
    await measure('products', () => compareProducts(folder, 'failure' in python ? null : python, effort))
  if (options.quick) notes.push('--quick: one round of small sizes; shows that everything runs, measures nothing.')
  for (const note of notes) process.stdout.write(`\n${note}\n`)
  if (failed) process.exitCode = 1
  if (!options.write || tables.length === 0) return
  const name = [
    'peers',
    ...(options.device === 'gpu' ? ['gpu'] : []),
    ...(options.build ? [options.build] : []),
    ...(options.whole ? [] : options.only),
  ].join('-')
  await writeReport({
    name,
    command: ['pnpm bench:peers', ...args].join(' '),
    tables,
    notes,
    samples,
    seconds: (performance.now() - start) / 1000,
    load,
  })
}

await main()
process.exit()
