#!/usr/bin/env node
// `npm run axpo -- <command>`: the set-up without its closing line, then the command line (apps/train/src/main.ts).
// @ts-check
import { join } from 'node:path'
import { peekArguments } from './setup/arguments.mjs'
import { ROOT } from './setup/context.mjs'
import { launch } from './setup/launch.mjs'
import { runMain, setup } from './setup.mjs'

await runMain(async () => {
  const [command = '', ...args] = process.argv.slice(2)
  const { offline, adapter, rest } = peekArguments(command, args, process.env)
  const ready = await setup({ offline, adapter, quiet: true })
  const main = join(ROOT, 'apps', 'train', 'src', 'main.ts')
  return launch(ready.node, [...ready.nodeArgs, main, ...(command === '' ? [] : [command]), ...rest], {
    env: ready.env,
  })
})
