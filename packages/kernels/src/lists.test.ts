import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { lists } from '../scripts/lists.mjs'
import { newOp, runNewOp } from './new-op.fixture.ts'
import { kernels } from './ops/index.ts'
import { adapterForTests } from './webgpu/adapter.fixture.ts'

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

const executors = ['cpu', ...((await adapterForTests('lists')) ? ['webgpu'] : [])]

test(`an op is one folder: built, listed, exported and run by the suite on ${executors.join(' and ')} with nothing else touched`, async () => {
  const copy = await copyPackage()
  await addOp(copy)
  await writeFile(join(copy, 'run.ts'), runNewOp)
  const run = promisify(execFile)
  await run(process.execPath, ['scripts/build.mjs'], { cwd: copy })
  const { stdout } = await run(process.execPath, ['run.ts', ...executors], { cwd: copy })
  const { results, ...package_ } = JSON.parse(stdout) as {
    results: { kind: string; valueError: number; gradientError: number; faults: string[] }[]
  }
  expect(package_).toEqual({ kernels: kernels.length + 2, builder: 'reluSquared' })
  expect(results.map(({ kind }) => kind)).toEqual(executors)
  for (const { kind, valueError, gradientError, faults } of results) {
    expect(faults, kind).toEqual([])
    expect(valueError, kind).toBeLessThan(2e-5)
    expect(gradientError, kind).toBeLessThan(2e-4)
  }
}, 120_000)

/** Files of this package, tests and what they share aside, that name an op in any spelling or import from its folder. */
async function filesNaming(op: string): Promise<string[]> {
  const camel = op.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  const named = new RegExp(`\\b(${op}|${camel}|${op.replaceAll('-', '_')})(_|\\b)|ops/${op}/`, 'i')
  const found: string[] = []
  for (const part of ['src', 'assembly', 'scripts'])
    for (const name of await readdir(join(root, part), { recursive: true })) {
      if (!/\.(ts|mjs|wgsl)$/.test(name) || /\.(test|fixture)\.ts$/.test(name)) continue
      if (named.test(await readFile(join(root, part, name), 'utf8'))) found.push(join(part, name))
    }
  return found.sort()
}

test.each(['gelu', 'swiglu', 'rope', 'layer-norm'])(
  '%s is named in its folder and in the two lists that the build writes, nowhere else in the package',
  async (op) => {
    const own = join('src', 'ops', op)
    const naming = await filesNaming(op)
    expect(naming.filter((path) => path.startsWith(own)).length).toBeGreaterThan(3)
    expect(naming.filter((path) => !path.startsWith(own))).toEqual(['assembly/kernels.ts', 'src/ops/index.ts'])
  },
)

test('a kernel without its AssemblyScript function is an error that names both', async () => {
  const copy = await copyPackage()
  await addOp(copy, 'relu-squared.as.ts')
  await expect(lists(copy)).rejects.toThrow(
    'lists: kernel relu_squared_back must have its function reluSquaredBack, got none exported in an .as.ts of op relu-squared. Write it.',
  )
})
