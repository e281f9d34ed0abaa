// Writes data/elements.jsonl (questions) and data/elements-documents.jsonl (what search looks through) from data/elements.tsv. Run by hand; the outputs are committed.
// Half of the facts are `known`: supervised fine-tuning tells their answers, as pretraining has told a big model some facts and not others. Nothing in a question's words says which.
// `--known 0.2`: that share of them (default 0.5). `--bare`: documents without the remainder, for models that can divide.
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createRandom, hashKey } from '../src/random.ts'

const { values: flags } = parseArgs({ options: { known: { type: 'string' }, bare: { type: 'boolean' } } })
const knownShare = Number(flags.known ?? '0.5')
if (!(knownShare >= 0 && knownShare <= 1))
  throw new Error(`make-elements: --known must be a number from 0 to 1, got ${flags.known}. Correct it.`)

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
/** 70 % train, 10 % validation, 20 % test. */
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
  return byAnswer.map((group) => group.slice(0, count))
}

const searchCall = (fact, right) => ({
  name: 'search',
  arguments: { query: fact.title },
  right,
  reading: fact.answer,
})

/** Asked, and of them the known ones: the same share in each split, and as nearly as it goes of each answer of each attribute. */
const asked = new Set()
const known = new Set()
const owed = { train: 0, validation: 0, test: 0 }
for (const group of attributes.flatMap(balanced))
  for (const fact of group.sort((a, b) => hashKey(0, 'known', a.title) - hashKey(0, 'known', b.title))) {
    asked.add(fact.title)
    owed[splitOf(fact)] += knownShare
    if (owed[splitOf(fact)] < 1) continue
    owed[splitOf(fact)] -= 1
    known.add(fact.title)
  }

/** What a demonstration of this fact may show besides it: facts that are told anyway, and unknown ones of the training split. */
const mayShow = (fact) => known.has(fact.title) || splitOf(fact) === 'train'

/** Wrong calls: another element's fact, and another fact of the element; leading to a wrong answer. */
function callsOf(fact) {
  const random = createRandom('elements', fact.title)
  const wrong = facts.filter((f) => mayShow(f) && f.answer !== fact.answer)
  const others = wrong.filter((f) => f.attribute === fact.attribute && f.symbol !== fact.symbol)
  const siblings = wrong.filter((f) => f.symbol === fact.symbol && f.attribute !== fact.attribute)
  return [
    searchCall(fact, true),
    ...[...random.draw(others, 2), ...random.draw(siblings, Math.min(1, siblings.length))].map((other) =>
      searchCall(other, false),
    ),
  ]
}

const questions = facts
  .filter((fact) => asked.has(fact.title))
  .map((fact) => ({
    id: `elements-${fact.title.replace(' ', '-')}`,
    family: 'elements',
    split: splitOf(fact),
    question: `${fact.title} %4?`,
    answer: fact.answer,
    tools: ['search'],
    documents: 'elements-documents.jsonl',
    known: known.has(fact.title),
    calls: callsOf(fact),
  }))
const documents = facts.map((fact) => ({ id: fact.title, title: fact.title, text: told(fact) }))

const write = (name, values) => writeFileSync(path(name), `${values.map((v) => JSON.stringify(v)).join('\n')}\n`)
write('elements.jsonl', questions)
write('elements-documents.jsonl', documents)
console.log(
  `${questions.length} questions (${questions.filter((q) => q.known).length} known), ${documents.length} documents`,
)
