/**
 * Runs the pages on one's own tools, tasks and recipes as written. A block with a path under `mine/` is a file, an `sh` block is run, each line of a `text` block must then have been
 * printed. `mine/` is a folder outside of the repository, as a user's would be.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = promisify(execFile)
let mine: string
beforeAll(() => {
  mine = mkdtempSync(join(tmpdir(), 'mine-'))
})
afterAll(() => rmSync(mine, { recursive: true }))

interface Block {
  readonly language: string
  readonly title: string
  readonly text: string
}

const blocksOf = (page: string): Block[] =>
  [...readFileSync(join(root, 'docs', page), 'utf8').matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language, title, text]) => ({ language: language!, title: title!, text: text! }),
  )

/** The one server that would have to be downloaded, and the one that stands in for it. */
const downloaded = /command: 'npx',\n\s*args: \[[^\]]*\]/
const toyServer = join(root, 'packages', 'agent', 'src', 'mcp-server.fixture.ts')
const here = `command: ${JSON.stringify(process.execPath)}, args: [${JSON.stringify(toyServer)}]`

test('nothing that the pages run has to be downloaded', () => {
  const texts = readdirSync(join(root, 'docs'))
    .filter((name) => name.startsWith('your-own-'))
    .flatMap(blocksOf)
  const all = texts.map((b) => b.text).join('\n')
  expect(all.replace(downloaded, here)).not.toContain('npx')
})

/** Words of a shell line; single quotes hold them together. */
const words = (line: string): string[] => [...line.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!)

/** One `npm run axpo -- …` line: what it printed, both streams; `fails`: it must. */
async function axpo(line: string, fails: boolean): Promise<string> {
  const [npm, verb, script, dashes, ...args] = words(line)
  expect([npm, verb, script, dashes]).toEqual(['npm', 'run', 'axpo', '--'])
  const main = join(root, 'apps', 'train', 'src', 'main.ts')
  const placed = args.map((a) => a.replace(/^mine\//, `${mine}/`))
  const done = await run(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...placed], {
    cwd: root,
  }).then(
    ({ stdout, stderr }) => ({ failed: false, text: stdout + stderr }),
    (error: { stdout: string; stderr: string }) => ({ failed: true, text: error.stdout + error.stderr }),
  )
  const text = done.text.replaceAll(`${mine}/`, 'mine/')
  expect(done.failed ? `failed: ${text}` : 'ran').toEqual(fails ? expect.stringContaining('failed: ') : 'ran')
  return text
}

/** Writes the files, runs the commands in order, holds texts against what was printed since the last text. */
async function play(page: string): Promise<void> {
  let printed = ''
  for (const { language, title, text } of blocksOf(page)) {
    if (title.startsWith('mine/')) writeFileSync(title.replace(/^mine/, mine), text.replace(downloaded, here))
    else if (language === 'sh' && title !== 'not run')
      for (const line of text.trim().split('\n')) printed += await axpo(line, title === 'fails')
    else if (language === 'text') {
      for (const line of text.trim().split('\n')) expect(printed).toContain(line)
      printed = ''
    }
  }
}

test.each(['your-own-tool.md', 'your-own-tasks.md', 'your-own-recipe.md'])('%s has fewer than 120 lines', (page) => {
  expect(readFileSync(join(root, 'docs', page), 'utf8').split('\n').length).toBeLessThan(120)
})

test('your own tool', () => play('your-own-tool.md'), 300_000)
test('your own tasks', () => play('your-own-tasks.md'), 300_000)

test('your own recipe: from a file', () => play('your-own-recipe.md'), 120_000)
test('your own recipe: as an object, and as a line in recipes.ts', async () => {
  const blocks = blocksOf('your-own-recipe.md')
  const policy = join(root, 'packages', 'policy')
  const folder = mkdtempSync(join(policy, 'example-'))
  try {
    const object = blocks.find((b) => b.title === 'packages/policy')!
    writeFileSync(join(folder, 'mine.ts'), object.text)
    const { stdout } = await run(process.execPath, [join(folder, 'mine.ts')])
    expect(stdout).toMatch(/^grpo [\s\S]*\naxpo [\s\S]*\naxpo-wide /)
    cpSync(join(policy, 'src'), join(folder, 'src'), { recursive: true })
    const recipes = join(folder, 'src', 'recipes.ts')
    const line = blocks.find((b) => b.title === 'recipes.ts')!.text
    writeFileSync(
      recipes,
      readFileSync(recipes, 'utf8').replace(/^const deltas = {\n/m, (start) => start + line),
    )
    writeFileSync(
      join(folder, 'named.ts'),
      "import { checkRecipe, findRecipe } from './src/index.ts'\nconst r = findRecipe('axpo-wide')\ncheckRecipe(r)\nconsole.log(r.continuations, r.budget)\n",
    )
    expect((await run(process.execPath, [join(folder, 'named.ts')])).stdout).toBe('8 0.5\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 120_000)
