#!/usr/bin/env node
// `pnpm bench`, `pnpm bench:peers`: the set-up, then a program of this folder under the project's Node.
//   node benchmarks/launch.mjs bench|peers|soak|evidence [flags]
// @ts-check
import { fileURLToPath } from 'node:url'
import { launch } from '../scripts/setup/launch.mjs'
import { SetupError } from '../scripts/setup/process.mjs'
import { runMain, setup } from '../scripts/setup.mjs'

await runMain(async () => {
  const [program = '', ...args] = process.argv.slice(2)
  const programs = ['bench', 'peers', 'soak', 'evidence']
  if (!programs.includes(program))
    throw new SetupError(`launch: the program must be one of ${programs.join(', ')}, got "${program}". Correct it.`)
  const given = args.find((arg) => arg.startsWith('--device='))?.slice('--device='.length)
  const device = given ?? (args.includes('--device') ? args[args.indexOf('--device') + 1] : undefined)
  const onCpu = device === 'cpu' || (['peers', 'evidence'].includes(program) && device === undefined)
  const ready = await setup({ adapter: onCpu ? 'none' : 'any', quiet: true })
  const main = fileURLToPath(new URL(`${program}.ts`, import.meta.url))
  return launch(ready.node, [...ready.nodeArgs, main, ...args.filter((arg) => arg !== '--')], { env: ready.env })
})
