/**
 * `pnpm bench:peers`: the same work in our code and in the peers, one after the other, round after round, on the same machine and threads.
 *   pnpm bench:peers [--only python,trl,js,products] [--quick] [--repetitions n] [--write] [--folder <of the installed peers>] [--python <interpreter>]
 * PyTorch eager (training step), transformers' generate, TRL's GRPOTrainer (whole step), training steps of jax-js and tfjs, matrix products of these and
 * of onnxruntime-web.
 * Not here: how the peers are installed (peers/install.ts) or what they run (peers/torch_peer.py, peers/js/*).
 */
import { parseArgs } from 'node:util'
import { parseRepetitions } from './options.ts'
import { defaultInstall, installJavaScript, installPython } from './peers/install.ts'
import { compareTextTraining } from './peers/javascript.ts'
import { compareProducts } from './peers/products.ts'
import { comparePyTorch, compareTrl } from './peers/python.ts'
import { printTable, type Table, writeReport } from './report.ts'

const parts = ['python', 'trl', 'js', 'products'] as const

export interface Comparison {
  readonly tables: readonly Table[]
  readonly samples: unknown
}

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      write: { type: 'boolean', default: false },
      folder: { type: 'string', default: defaultInstall.folder },
      python: { type: 'string', default: defaultInstall.python },
    },
  })
  const effort = { quick: values.quick, repetitions: parseRepetitions(values.repetitions) }
  const only = values.only?.split(',') ?? parts
  const unknown = only.find((name) => !parts.some((part) => part === name))
  if (unknown) throw new Error(`peers: --only must be some of ${parts.join(', ')}, got ${unknown}. Correct it.`)
  const notes = [
    'Ours, peer, ours, peer, ...: medians, and the ratio is the median of the rounds. Installing is not timed.',
  ]
  const tables: Table[] = []
  const samples: Record<string, unknown> = {}
  const [python, js] = [await installPython(values), await installJavaScript(values)]
  for (const installed of [python, js]) if ('failure' in installed) notes.push(installed.failure)
  const start = performance.now()
  const measure = async (name: (typeof parts)[number], compare: () => Promise<Comparison>) => {
    if (!only.includes(name)) return
    try {
      const result = await compare()
      for (const table of result.tables) printTable(table)
      tables.push(...result.tables)
      samples[name] = result.samples
    } catch (error) {
      notes.push(`${name}: could not be compared: ${(error as Error).message}`)
    }
  }
  if ('path' in python) {
    const { path } = python
    await measure('python', () => comparePyTorch(path, effort))
    await measure('trl', () => compareTrl(path, effort))
  }
  if ('path' in js) {
    const { path } = js
    await measure('js', () => compareTextTraining(path, effort))
  }
  await measure('products', () =>
    compareProducts('path' in js ? js.path : null, 'path' in python ? python.path : null, effort),
  )
  if (values.quick) notes.push('--quick: one round of small sizes; shows that everything runs, measures nothing.')
  for (const note of notes) process.stdout.write(`\n${note}\n`)
  if (!values.write) return
  const name = only === parts ? 'peers' : `peers-${only.join('-')}`
  await writeReport({
    name,
    command: ['pnpm bench:peers', ...args].join(' '),
    tables,
    notes,
    samples,
    seconds: (performance.now() - start) / 1000,
  })
}

await main()
process.exit(0)
