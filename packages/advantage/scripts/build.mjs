// Compiles the AssemblyScript kernel to build/advantage.wasm. Plain JavaScript: set-up runs it before anything else is built.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const asc = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js')
mkdirSync(`${root}/build`, { recursive: true })
const flags = [
  'assembly/index.ts',
  '-o',
  'build/advantage.wasm',
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--initialMemory',
  '1',
]
const { status } = spawnSync(process.execPath, [asc, ...flags], { cwd: root, stdio: 'inherit' })
process.exit(status ?? 1)
