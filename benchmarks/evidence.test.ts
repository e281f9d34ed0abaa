/** The list of comparisons, that what is committed of them is what the list says, and that the README's figures are theirs. Not here: running them, which takes hours. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { expect, test } from 'vitest'
import { comparisons } from './evidence.ts'
import { headlineFigures, pictureOf } from './evidence-figure.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const result = (name: string, file: string) => join(root, 'benchmarks/results/evidence', name, file)

function seedsOf(flags: readonly string[]): number[] {
  const options = { seeds: { type: 'string' }, 'first-seed': { type: 'string' } } as const
  const { values } = parseArgs({ args: [...flags], options, strict: false })
  return Array.from({ length: Number(values.seeds) }, (_, i) => Number(values['first-seed']) + i)
}

test('the seeds that chose the settings report nothing, but in the run again that says so', () => {
  const [map, ...others] = comparisons
  expect(seedsOf(map!.flags)).toEqual([1, 2])
  const shared = others.filter(({ flags }) => seedsOf(flags).some((seed) => seedsOf(map!.flags).includes(seed)))
  expect(shared.map(({ name }) => name)).toEqual(['again'])
  expect(shared[0]!.about).toContain('1 and 2 are the seeds of the map')
})

test('axpo compare takes the flags of each', { timeout: 60_000 }, async () => {
  const main = join(root, 'apps/train/src/main.ts')
  const nowhere = join(root, 'runs/none-such')
  const call = (flags: readonly string[]) =>
    promisify(execFile)(process.execPath, [main, 'compare', ...flags, '--from', nowhere], { cwd: root })
  // the last flag is what is wrong: all before it were understood
  for (const { flags } of comparisons)
    await expect(call(flags)).rejects.toThrow(/--from needs the folder of a comparison/)
  await expect(call(['--recipes', 'grpo,none-such'])).rejects.toThrow(/none-such/)
})

test.each(comparisons)('what is committed of $name was made with the flags of the list', (comparison) => {
  const { name, about, flags, against } = comparison
  const text = readFileSync(result(name, 'README.md'), 'utf8')
  expect(text).toContain(about)
  expect(text).toContain(`compare ${flags.join(' ')} `)
  // the map is of a version that kept no figures
  const figures = name === 'map' ? [] : ['compare.html', 'compare.json']
  const files = ['compare.md', ...figures, ...(against ? [`compare-to-${against}.md`] : [])]
  expect(files.filter((file) => !existsSync(result(name, file)))).toEqual([])
})

test("the README's figures with intervals are those of the committed tables", () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const section = readme.slice(readme.indexOf('## Evidence'), readme.indexOf('## Speed'))
  const tables = comparisons.flatMap(({ name, against }) => [
    readFileSync(result(name, 'compare.md'), 'utf8'),
    ...(against ? [readFileSync(result(name, `compare-to-${against}.md`), 'utf8')] : []),
  ])
  // tables sign differences: +22.5 [+7.3, +36.9]
  const written = new Set(tables.flatMap(figuresOf))
  const quoted = figuresOf(section)
  expect(quoted.length).toBeGreaterThan(30)
  expect(quoted.filter((figure) => !written.has(figure))).toEqual([])
})

/** Each `estimate [low, high]` of a page; signs of what is above 0 and bold type left out. */
function figuresOf(page: string): string[] {
  return page.replaceAll(/[+*]/g, '').match(/-?\d*\.\d+ \[-?\d*\.\d+, -?\d*\.\d+\]/g) ?? []
}

test("the README's picture is made of the committed figures", () => {
  const html = readFileSync(result('headline', 'compare.html'), 'utf8')
  const picture = pictureOf(html, headlineFigures)
  expect(readFileSync(join(root, 'docs/evidence.svg'), 'utf8')).toBe(picture)
  expect(picture.match(/<svg /g)).toHaveLength(1 + headlineFigures.length)
  expect(() => pictureOf(html, ['Weather'])).toThrow('must have a figure "Weather"')
})
