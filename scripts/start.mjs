#!/usr/bin/env node
// `npm start`: the set-up, then the main job (apps/train/src/main.ts start).
// @ts-check
import { join } from 'node:path'
import { peekArguments } from './setup/arguments.mjs'
import { ROOT } from './setup/context.mjs'
import { launch } from './setup/launch.mjs'
import { runMain, setup } from './setup.mjs'

await runMain(async () => {
  const { offline, adapter, rest } = peekArguments('start', process.argv.slice(2), process.env)
  const ready = await setup({ offline, adapter })
  const main = join(ROOT, 'apps', 'train', 'src', 'main.ts')
  return launch(ready.node, [...ready.nodeArgs, main, 'start', ...rest], { env: ready.env })
})
