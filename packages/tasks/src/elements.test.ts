import { readFileSync } from 'node:fs'
import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import { expect, test } from 'vitest'
import { elementsTasks, loadUserTasks, nanoTokenizerDirectory } from './index.ts'

const tasks = loadUserTasks(elementsTasks)
const [header, ...rows] = readFileSync(new URL('../data/elements.tsv', import.meta.url), 'utf8')
  .trim()
  .split('\n')
const names = header!.split('\t')
const elements = rows.map((row) => Object.fromEntries(row.split('\t').map((cell, i) => [names[i]!, cell])))
/** A text-only question: the text is its last part. */
const textOf = (task: (typeof tasks)[number]) => {
  const part = [...task.messages[0]!.content].at(-1)!
  return typeof part === 'object' && part.type === 'text' ? part.text : ''
}

test('the table is consistent with itself and with the laws of the periodic table', () => {
  expect(elements.map((e) => Number(e.number))).toEqual(Array.from({ length: 118 }, (_, i) => i + 1))
  expect(new Set(elements.map((e) => e.symbol)).size).toBe(118)
  expect(new Set(elements.map((e) => e.name)).size).toBe(118)
  // a period begins after each noble gas
  const noble = [2, 10, 18, 36, 54, 86, 118]
  for (const e of elements) expect(Number(e.period)).toBe(noble.findIndex((n) => Number(e.number) <= n) + 1)
  for (const e of elements) {
    const [n, group] = [Number(e.number), Number(e.group)]
    const back = (noble.find((z) => n <= z) ?? 0) - n
    // groups 13 to 18 (helium aside) and 4 to 12 count back from the noble gas
    if (e.group !== '-' && n > 2 && (group > 3 || Number(e.period) > 3)) {
      const first = noble[Number(e.period) - 2]!
      expect([e.symbol, group]).toEqual([e.symbol, group <= 3 ? n - first : 18 - back])
    }
    if (e.isotope !== '-' && e.weight !== '-')
      expect([e.symbol, Math.abs(Number(e.isotope) - Number(e.weight)) <= 3]).toEqual([e.symbol, true])
    if (e.year !== '-') expect([e.symbol, Number(e.year) >= 1669 && Number(e.year) <= 1955]).toEqual([e.symbol, true])
  }
})

test('several hundred questions, half of each split known by heart; each answer equally often within an attribute', () => {
  expect(tasks.length).toBe(396)
  for (const [split, count] of [
    ['train', 262],
    ['validation', 46],
    ['test', 88],
  ] as const) {
    const those = tasks.filter((t) => t.split === split)
    expect([split, those.length, those.filter((t) => t.known).length]).toEqual([split, count, count / 2])
  }
  expect(tasks.every((t) => t.easy === t.known)).toBe(true)
  for (const attribute of names.slice(2)) {
    const asked = tasks.filter((t) => textOf(t).includes(` ${attribute} `))
    const counts = ['0', '1', '2', '3'].map((gold) => asked.filter((t) => t.gold === gold).length)
    expect([attribute, new Set(counts).size]).toEqual([attribute, 1])
    expect(counts[0]).toBeGreaterThan(7)
  }
})

test('a question is about a row of the table, and its right call finds the document that tells the answer', () => {
  const documents = new Map(tasks[0]!.documents.map((d) => [d.title, d.text]))
  expect(documents.size).toBe(552)
  for (const task of tasks) {
    const [, symbol, attribute] = /^(\w+) (\w+) %4\?/.exec(textOf(task))!
    const value = Number(elements.find((e) => e.symbol === symbol)![attribute!])
    expect(task.gold).toBe(String(value % 4))
    const right = task.calls.filter((c) => c.right)
    expect(right.map((c) => c.arguments)).toEqual([{ query: `${symbol} ${attribute}` }])
    expect(documents.get(`${symbol} ${attribute}`)).toBe(`${value} %4 = ${task.gold}`)
    for (const { arguments: args, reading } of task.calls.filter((c) => !c.right)) {
      expect(documents.get(String(args.query))!.at(-1)).toBe(reading)
      expect(reading).not.toBe(task.gold)
    }
  }
})

test('a fact is asked once, and no call of another question shows an unknown one that is validated or tested', () => {
  const facts = new Map(tasks.map((t) => [String(t.calls.find((c) => c.right)!.arguments.query), t]))
  expect(facts.size).toBe(tasks.length)
  for (const task of tasks)
    for (const { arguments: args } of task.calls.filter((c) => !c.right)) {
      const shown = facts.get(String(args.query))
      // a fact that is not asked at all gives nothing away
      if (shown) expect([args.query, shown.known || shown.split === 'train']).toEqual([args.query, true])
    }
})

test("nano's tokenizer spells it at a bearable length: prompts of at most 40 tokens, queries of at most 10", () => {
  const read = (name: string) => JSON.parse(readFileSync(`${nanoTokenizerDirectory}/${name}`, 'utf8'))
  const config = read('tokenizer_config.json')
  const tokenizer = new Tokenizer(read('tokenizer.json'), config)
  const template = new Template(config.chat_template)
  const count = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids.length
  const tools = [{ type: 'function', function: { name: 'search', description: '', parameters: {} } }]
  const prompts = tasks.map((t) => count(template.render({ messages: t.messages, tools, add_generation_prompt: true })))
  expect(Math.max(...prompts)).toBeLessThanOrEqual(40)
  expect(Math.max(...tasks.flatMap((t) => t.calls.map((c) => count(String(c.arguments.query)))))).toBeLessThanOrEqual(
    10,
  )
})
