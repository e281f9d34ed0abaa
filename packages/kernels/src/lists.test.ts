import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { lists } from '../scripts/lists.mjs'
import { newOp, runNewOp } from './new-op.fixture.ts'
import { kernels } from './ops/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
// in the package, so that its dependencies are found
const folder = await mkdtemp(join(root, 'build', 'copies-'))
afterAll(() => rm(folder, { recursive: true }))

/** A copy of this package without what is built. */
async function copyPackage(): Promise<string> {
  const copy = await mkdtemp(join(folder, 'copy-'))
  for (const part of ['src', 'assembly', 'scripts', 'package.json'])
    await cp(join(root, part), join(copy, part), { recursive: true })
  return copy
}

async function addOp(copy: string, without?: string): Promise<void> {
  const op = join(copy, 'src', 'ops', 'relu-squared')
  await mkdir(op)
  for (const [name, text] of Object.entries(newOp)) if (name !== without) await writeFile(join(op, name), text)
}

test('the lists of ops are those of the folders: npm run build writes them', async () => {
  for (const [file, text] of await lists(root)) expect(await readFile(file, 'utf8'), file).toBe(text)
})

test('an op is one folder: built, listed, exported and run by the suite with nothing else touched', async () => {
  const copy = await copyPackage()
  await addOp(copy)
  await writeFile(join(copy, 'run.ts'), runNewOp)
  const run = promisify(execFile)
  await run(process.execPath, ['scripts/build.mjs'], { cwd: copy })
  const { stdout } = await run(process.execPath, ['run.ts'], { cwd: copy })
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ kernels: kernels.length + 2, builder: 'reluSquared', faults: [] })
  expect(result.valueError).toBeLessThan(2e-5)
  expect(result.gradientError).toBeLessThan(2e-4)
}, 120_000)

test('a kernel without its AssemblyScript function is an error that names both', async () => {
  const copy = await copyPackage()
  await addOp(copy, 'relu-squared.as.ts')
  await expect(lists(copy)).rejects.toThrow(
    'lists: kernel relu_squared_back must have its function reluSquaredBack, got none exported in an .as.ts of op relu-squared. Write it.',
  )
})
