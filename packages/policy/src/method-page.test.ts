/** docs/method.md does not rot: every file it links is there and declares the name it gives, every setting is in its table with its default, and nothing it names is not a setting. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { recipeDefaults } from './index.ts'

const page = new URL('../../../docs/method.md', import.meta.url)
const text = readFileSync(page, 'utf8')

const links = [...text.matchAll(/\[`([^`]+)`\]\(([^)]+)\)/g)].map(([, symbol, path]) => ({
  symbol: symbol!,
  path: path!,
}))

/** A declaration, or a method of a class. */
const declares = (source: string, symbol: string): boolean =>
  new RegExp(`\\b(function|const|class|interface|type)\\s+${symbol}\\b|^  (async )?${symbol}\\(`, 'm').test(source)

test('the page has its links, and all links are of the kind that is checked', () => {
  expect(links.length).toBeGreaterThan(40)
  expect(text.match(/\]\(/g)).toHaveLength(links.length)
})

test.each(links)('$path declares $symbol', ({ symbol, path }) => {
  const file = new URL(path, page)
  expect(existsSync(file), `${path} is gone: say in docs/method.md where it is now`).toBe(true)
  expect(declares(readFileSync(file, 'utf8'), symbol), `${symbol} is gone from ${path}: correct docs/method.md`).toBe(
    true,
  )
})

test('a name that is only used, or only in a longer one, is not declared', () => {
  expect(declares('const a = planLoss(1)\n  return planLoss({})', 'planLoss')).toBe(false)
  expect(declares('function planLossOf() {}', 'planLoss')).toBe(false)
  expect(declares('  async step(rate: number) {}', 'step')).toBe(true)
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
