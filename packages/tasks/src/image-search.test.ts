import { readFileSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import { expect, test } from 'vitest'
import { applyVariant } from './icon-variant.ts'
import {
  createRandom,
  demonstrate,
  demonstrateCall,
  families,
  generateSpec,
  grade,
  type ImageSearchSpec,
  iconVariants,
  loadQuestion,
  rightCalls,
  solve,
  splitOf,
  suiteTools,
} from './index.ts'
import { iconBits } from './raster.ts'

const range = (n: number) => [...Array(n).keys()]
const specAt = (split: 'validation' | 'test', i: number) => generateSpec('image_search', split, i) as ImageSearchSpec

test('held out: evaluation splits only, which share no item; the three trained families stay three', () => {
  expect(families).toEqual(['zoom', 'python', 'search'])
  expect(() => generateSpec('image_search', 'train', 0)).toThrow(/image_search is held out and has no train split/)
  const seen = (['validation', 'test'] as const).map(
    (split) =>
      new Set(
        range(100).map((i) => {
          const spec = specAt(split, i)
          expect(splitOf(spec)).toBe(split)
          return JSON.stringify([spec.facts, spec.variant])
        }),
      ),
  )
  expect(seen[0]!.isDisjointFrom(seen[1]!)).toBe(true)
})

test('the same item every time', () => {
  expect(loadQuestion('image_search', 'test', 5, 0.5)).toEqual(loadQuestion('image_search', 'test', 5, 0.5))
})

test('gold and variants are uniform (5 standard errors)', () => {
  const specs = range(1000).map((i) => specAt('test', i))
  for (const digit of range(4))
    expect(Math.abs(specs.filter((s) => s.answer === digit).length / 1000 - 0.25)).toBeLessThan(
      5 * Math.sqrt((0.25 * 0.75) / 1000),
    )
  for (const variant of iconVariants)
    expect(Math.abs(specs.filter((s) => s.variant === variant).length / 1000 - 0.2)).toBeLessThan(
      5 * Math.sqrt(0.16 / 1000),
    )
})

test('a variant differs from every icon in at least 10 of 64 places, and no two entities share one', () => {
  const icons = range(32).map(iconBits)
  const variants = icons.flatMap((bits) => iconVariants.map((variant) => applyVariant(bits, variant)))
  const distance = (a: readonly boolean[], b: readonly boolean[]) => a.filter((bit, i) => bit !== b[i]).length
  for (const bits of variants) for (const icon of icons) expect(distance(bits, icon)).toBeGreaterThanOrEqual(10)
  expect(new Set([...icons, ...variants].map(String)).size).toBe(32 * 6)
})

test('turns and mirrors as named: corners go where they should, four turns are none', () => {
  const corner = Array.from({ length: 64 }, (_, i) => i === 0)
  const place = (variant: (typeof iconVariants)[number]) => applyVariant(corner, variant).indexOf(true)
  expect([place('rotate90'), place('rotate180'), place('rotate270'), place('mirror')]).toEqual([7, 63, 56, 7])
  const bits = iconBits(3)
  expect(range(4).reduce((b) => applyVariant(b, 'rotate90'), bits)).toEqual(bits)
  expect(applyVariant(applyVariant(bits, 'invert'), 'invert')).toEqual(bits)
  expect(() => applyVariant([true], 'mirror')).toThrow(/an icon has 64 bits, got 1/)
})

test("gallery: the episode's entities by number, upright and without noise; the picture is at none of them", () => {
  for (const i of range(40)) {
    const question = loadQuestion('image_search', 'test', i, 0)
    const spec = question.spec as ImageSearchSpec
    const entities = [...new Set(spec.facts.map((f) => f.entity))].sort((a, b) => a - b)
    expect(question.gallery.map((g) => g.title)).toEqual(entities.map((e) => `e${e}`))
    for (const { title, image } of question.gallery) {
      const bits = iconBits(Number(title.slice(1)))
      const shown = bits.map((_, b) => image.data[3 * ((36 + (b >> 3) * 8) * 128 + 36 + (b & 7) * 8)]! > 128)
      expect(shown).toEqual(bits)
    }
    const seen = range(64).map(
      (b) => question.images[0]!.data[3 * ((36 + (b >> 3) * 8) * 128 + 36 + (b & 7) * 8)]! > 128,
    )
    expect(seen).toEqual(applyVariant(iconBits(spec.entity), spec.variant))
  }
})

test('offers image_search beside the trained tools, and nothing else does; documents as in search; gallery empty elsewhere', () => {
  const question = loadQuestion('image_search', 'test', 1, 0)
  expect(question.tools).toEqual([...suiteTools, 'image_search'])
  expect(question.documents.length).toBeGreaterThanOrEqual(25)
  for (const family of families) {
    const other = loadQuestion(family, 'test', 1, 0)
    expect(other.tools).not.toContain('image_search')
    expect(other.gallery).toEqual([])
  }
})

test('two hops: image_search names the entity, search gives the fact', () => {
  for (const i of range(50)) {
    const question = loadQuestion('image_search', 'test', i, 0)
    const spec = question.spec as ImageSearchSpec
    expect(rightCalls(question).map((c) => [c.name, c.arguments, c.reading])).toEqual([
      ['image_search', { img_idx: 0 }, null],
      ['search', { query: `e${spec.entity} a${spec.attribute}` }, question.gold],
    ])
    expect(grade(question, solve(question, true))).toBe(1)
    expect(demonstrateCall(question, false, createRandom('w', i)).reading).not.toBe(question.gold)
  }
  expect(() => demonstrate(loadQuestion('image_search', 'test', 0, 0), 'right', createRandom('x'))).toThrow(/held out/)
})

test("the wording is the search family's: the tokens that nano was trained on", () => {
  const read = (name: string) => JSON.parse(readFileSync(new URL(`../nano/${name}`, import.meta.url), 'utf8'))
  const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'))
  const content = loadQuestion('image_search', 'test', 1, 0).messages[0]!.content
  const text = typeof content === 'string' ? content : content.map((p) => (p.type === 'text' ? p.text : '')).join('')
  expect(text).toMatch(/^a[0-7] of this icon\?$/)
  expect(tokenizer.encode(text, { add_special_tokens: false }).ids.length).toBe(2)
})
