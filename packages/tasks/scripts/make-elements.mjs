// Writes data/elements.jsonl (questions) and data/elements-documents.jsonl (what search looks through) from data/elements.tsv. Run by hand; the outputs are committed.
// Every fact is asked for twice: closed, and open, where the question tells the fact and needs no tool. `--open 0.5`: only for half of the facts openly (default 1).
// `--bare`: documents without the remainder, for models that can divide.
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createRandom, hashKey } from '../src/random.ts'

const { values: flags } = parseArgs({ options: { open: { type: 'string' }, bare: { type: 'boolean' } } })
const openShare = Number(flags.open ?? '1')
if (!(openShare >= 0 && openShare <= 1))
  throw new Error(`make-elements: --open must be a number from 0 to 1, got ${flags.open}. Correct it.`)

const path = (name) => new URL(`../data/${name}`, import.meta.url)
const [header, ...rows] = readFileSync(path('elements.tsv'), 'utf8').trim().split('\n')
const columns = header.split('\t')
const elements = rows.map((row) => Object.fromEntries(row.split('\t').map((cell, i) => [columns[i], cell])))
const attributes = columns.slice(2)

const facts = elements.flatMap((element) =>
  attributes
    .filter((attribute) => element[attribute] !== '-')
    .map((attribute) => {
      const value = Number(element[attribute])
      return {
        title: `${element.symbol} ${attribute}`,
        symbol: element.symbol,
        attribute,
        value,
        answer: `${value % 4}`,
      }
    }),
)
const told = ({ value, answer }) => (flags.bare ? `${value}` : `${value} %4 = ${answer}`)
/** Of the fact, so that its open and its closed question are never in two splits: 70 % train, 10 % validation, 20 % test. */
const splitOf = ({ title }) => {
  const bucket = hashKey(0, 'split', title) % 10
  return bucket < 7 ? 'train' : bucket === 7 ? 'validation' : 'test'
}

/** As many questions of each answer as the rarest one has: knowing the attribute must not help to guess. */
function balanced(attribute) {
  const byAnswer = ['0', '1', '2', '3'].map((answer) =>
    facts
      .filter((fact) => fact.attribute === attribute && fact.answer === answer)
      .sort((a, b) => hashKey(0, 'kept', a.title) - hashKey(0, 'kept', b.title)),
  )
  const count = Math.min(...byAnswer.map((group) => group.length))
  return byAnswer.flatMap((group) => group.slice(0, count))
}

const searchCall = (fact, right) => ({
  name: 'search',
  arguments: { query: fact.title },
  right,
  reading: fact.answer,
})

/** Wrong calls: another element's fact, and another fact of the element; leading to a wrong answer; of the same split, so that no demonstration shows a fact that is tested. */
function callsOf(fact) {
  const random = createRandom('elements', fact.title)
  const known = facts.filter((f) => splitOf(f) === splitOf(fact) && f.answer !== fact.answer)
  const others = known.filter((f) => f.attribute === fact.attribute && f.symbol !== fact.symbol)
  const siblings = known.filter((f) => f.symbol === fact.symbol && f.attribute !== fact.attribute)
  return [
    searchCall(fact, true),
    ...[...random.draw(others, 2), ...random.draw(siblings, Math.min(1, siblings.length))].map((other) =>
      searchCall(other, false),
    ),
  ]
}

const asked = new Set(attributes.flatMap((attribute) => balanced(attribute).map((fact) => fact.title)))
const questionOf = (fact, easy) => {
  const question = `${fact.title} %4?`
  return {
    id: `elements-${fact.title.replace(' ', '-')}${easy ? '-open' : ''}`,
    family: 'elements',
    split: splitOf(fact),
    question: easy ? `${question} ${told(fact)}` : question,
    answer: fact.answer,
    tools: ['search'],
    documents: 'elements-documents.jsonl',
    easy,
    calls: callsOf(fact),
  }
}
const questions = facts
  .filter((fact) => asked.has(fact.title))
  .flatMap((fact) => {
    const open = createRandom('open', fact.title).uniform() < openShare
    return open ? [questionOf(fact, false), questionOf(fact, true)] : [questionOf(fact, false)]
  })
const documents = facts.map((fact) => ({ id: fact.title, title: fact.title, text: told(fact) }))

const write = (name, values) => writeFileSync(path(name), `${values.map((v) => JSON.stringify(v)).join('\n')}\n`)
write('elements.jsonl', questions)
write('elements-documents.jsonl', documents)
console.log(
  `${questions.length} questions (${questions.filter((q) => q.easy).length} open), ${documents.length} documents`,
)
