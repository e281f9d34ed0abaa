#!/usr/bin/env node
// `npm run pnpm -- <arguments>`: the pinned pnpm under the provided Node, as `npm run pnpm -- add zod --filter @axpo/train`.
// @ts-check
import { createContext } from './setup/context.mjs'
import { launch } from './setup/launch.mjs'
import { ensureNode, ensurePnpm, toolEnv } from './setup/toolchain.mjs'
import { runMain } from './setup.mjs'

await runMain(async () => {
  const context = createContext({})
  const node = await ensureNode(context)
  const pnpm = await ensurePnpm(context)
  if (!node || !pnpm) return 1
  return launch(node, [pnpm, ...process.argv.slice(2)], { env: toolEnv(context, node) })
})
