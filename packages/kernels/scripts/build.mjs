// Writes the lists of ops (lists.mjs), builds build/kernels-fma.wasm and build/kernels-plain.wasm from assembly/index.ts, then build/embedded.js (embed.mjs).
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'
import { embed } from './embed.mjs'
import { writeLists } from './lists.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
mkdirSync(join(root, 'build'), { recursive: true })
await writeLists(root)

for (const [name, features] of [
  ['fma', 'simd,threads,relaxed-simd'],
  ['plain', 'simd,threads'],
]) {
  const { error, stderr } = await asc.main(
    [
      'assembly/index.ts',
      '--baseDir',
      root,
      '-o',
      `build/kernels-${name}.wasm`,
      '-O3',
      '--noAssert',
      '--runtime',
      'stub',
      '--importMemory',
      '--sharedMemory',
      '--initialMemory',
      '16',
      '--maximumMemory',
      '65536',
      // AS112: v128 arguments between our own functions, none of which JavaScript calls
      '--disableWarning',
      '112',
      '--enable',
      features,
    ],
    { stderr: process.stderr, stdout: process.stdout },
  )
  if (error) {
    console.error(`kernels: build of ${name} failed: ${error.message}. ${stderr ?? ''}`)
    process.exit(1)
  }
}

embed()
