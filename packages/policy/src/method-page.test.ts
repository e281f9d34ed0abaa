/**
 * docs/method.md does not rot: every file it links is there and declares the name it gives, on the line that the link's anchor says; every setting is in its table with its
 * default, and nothing it names is not a setting. `npm test -- packages/policy/src/method-page -u` rewrites the anchors after code has moved.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { recipeDefaults } from './index.ts'

const page = new URL('../../../docs/method.md', import.meta.url)
const text = readFileSync(page, 'utf8')

const linkPattern = /\[`([^`]+)`\]\(([^)#]+)(?:#L(\d+))?\)/g
const links = [...text.matchAll(linkPattern)].map(([, symbol, path, anchor]) => ({
  symbol: symbol!,
  path: path!,
  /** Line, from 1; absent: 0. */
  anchor: Number(anchor ?? 0),
}))

/** Lines, from 1, that declare a name at a file's top level; where none does, as a method of a class. */
function declarations(source: string, symbol: string): number[] {
  const top = `(export )?(declare |abstract |async )*(function|const|let|class|interface|type)\\s+${symbol}\\b`
  // a call at this depth looks the same but for the brace
  const method = ` {2}(static |private |protected |async )*${symbol}(<[^>]*>)?\\(.*\\{$`
  const matching = (declares: RegExp) => source.split('\n').flatMap((line, i) => (declares.test(line) ? [i + 1] : []))
  const found = matching(new RegExp(`^${top}`))
  return found.length > 0 ? found : matching(new RegExp(`^${method}`))
}

function sourceOf(path: string): string {
  const file = new URL(path, page)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** A page with every anchor at the line that declares its name in the sources as they are. A link without exactly one such line stays as it is. */
function anchored(markdown: string, read: (path: string) => string): string {
  return markdown.replace(linkPattern, (link, symbol: string, path: string) => {
    const [line, ...more] = declarations(read(path), symbol)
    return line === undefined || more.length > 0 ? link : `[\`${symbol}\`](${path}#L${line})`
  })
}

test('the page has its links, and all links are of the kind that is checked', () => {
  expect(links.length).toBeGreaterThan(40)
  expect(text.match(/\]\(/g)).toHaveLength(links.length)
})

test.each(links)('$path declares $symbol', ({ symbol, path }) => {
  expect(existsSync(new URL(path, page)), `${path} is gone: say in docs/method.md where it is now`).toBe(true)
  const lines = declarations(sourceOf(path), symbol)
  expect(lines, `${path} must declare ${symbol} once, does in lines [${lines}]: correct docs/method.md`).toHaveLength(1)
})

test('each anchor is the line that declares its name', async () => {
  const moved = links.flatMap(({ symbol, path, anchor }) => {
    const [line] = declarations(sourceOf(path), symbol)
    return line === undefined || line === anchor ? [] : [`${symbol} is in line ${line} of ${path}`]
  })
  const repair = `${moved.join('; ')}. Run \`npm test -- packages/policy/src/method-page -u\`, which rewrites the anchors of docs/method.md`
  await expect(anchored(text, sourceOf), repair).toMatchFileSnapshot(fileURLToPath(page))
})

test('a name that is only used, or only in a longer one, is not declared', () => {
  expect(declarations('const a = planLoss(1)\n  return planLoss({})\n  const planLoss = 1', 'planLoss')).toEqual([])
  expect(declarations('// function planLoss\nfunction planLossOf() {}', 'planLoss')).toEqual([])
  expect(declarations('\nexport async function planLoss(\n  a: 1,', 'planLoss')).toEqual([2])
  expect(declarations('class A {\n  async step(rate: number) {\n  }\n}', 'step')).toEqual([2])
  expect(declarations('type Step = 1\nconst step = 1\nconst steps = 2\n  step(): void {', 'step')).toEqual([2])
  expect(declarations('function run() {\n  step(1)\n}', 'step')).toEqual([])
})

test('anchors follow code that moved; what is gone or declared twice is left for a person', () => {
  const sources: Readonly<Record<string, string>> = {
    'a.ts': '\n\nconst one = 1\n',
    'b.ts': 'const two = 2\nconst two = 2',
  }
  const read = (path: string) => sources[path] ?? ''
  const before = '| [`one`](a.ts), [`one`](a.ts#L12) | [`two`](b.ts#L1) | [`one`](gone.ts#L3) |'
  const after = '| [`one`](a.ts#L3), [`one`](a.ts#L3) | [`two`](b.ts#L1) | [`one`](gone.ts#L3) |'
  expect(anchored(before, read)).toBe(after)
  expect(anchored(after, read)).toBe(after)
})

test('the table of settings is the settings, each with its default', () => {
  const section = text.slice(text.indexOf('## Settings'), text.indexOf('## Decided without a setting'))
  const rows = [...section.matchAll(/^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$/gm)].map(([, name, value, why]) => {
    expect(why!.trim()).not.toBe('')
    return [name, value!.trim()] as const
  })
  const number = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
  const shown = (v: unknown) => (typeof v === 'number' ? number.format(v) : `${v}`)
  expect(Object.fromEntries(rows)).toEqual(
    Object.fromEntries(Object.entries(recipeDefaults).map(([name, value]) => [name, shown(value)])),
  )
})
