import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gradeUserTask, type OwnTask, readTaskModule } from './index.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'task-module-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const path = () => join(folder, 'sums.ts')
const read = (exported: unknown) => readTaskModule(path(), exported)
const task: OwnTask = { id: 'a', question: 'q?', split: 'train', grade: (answer) => Number(answer) / 4 }

test('a function gives each split its tasks, in the order of the splits; defaults as in a file', async () => {
  const tasks = await read(async (split: string) =>
    split === 'validation' ? [] : [{ ...task, split: undefined, id: `${split}-1`, tools: ['search'] }],
  )
  expect(tasks.map((t) => [t.id, t.split, t.place])).toEqual([
    ['train-1', 'train', `${path()}: train task 1`],
    ['test-1', 'test', `${path()}: test task 1`],
  ])
  expect(tasks[0]).toMatchObject({
    family: 'sums',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'q?' }] }],
    images: [],
    tools: ['search'],
    documents: [],
    calls: [],
  })
})

test('its own grader gives the reward; no answer is 0 and not asked about; what is no reward is told', async () => {
  const [first] = await read([task])
  expect(['0', '1', '3', '4'].map((answer) => gradeUserTask(first!, answer))).toEqual([0, 0.25, 0.75, 1])
  const [strict] = await read([{ ...task, grade: () => 1 }])
  for (const answer of [null, '', ' \n']) expect(gradeUserTask(strict!, answer)).toBe(0)
  for (const [answer, got] of [
    ['5', '1.25'],
    ['-1', '-0.25'],
    ['x', 'NaN'],
  ])
    expect(() => gradeUserTask(first!, answer!)).toThrow(
      `${path()}: task 1: grade must give a number from 0 to 1, got ${got} for the answer "${answer}". Correct it.`,
    )
  // a method sees its task
  const withGold = { ...task, grade: undefined }
  Object.assign(withGold, {
    grade(this: OwnTask, answer: string) {
      return answer === this.id ? 1 : 0
    },
  })
  expect(gradeUserTask((await read([withGold]))[0]!, 'a')).toBe(1)
})

test('pixels, messages with images, documents in a file of their own', async () => {
  writeFileSync(join(folder, 'facts.jsonl'), '{"title": "a", "text": "b"}\n')
  const image = { width: 2, height: 1, data: new Uint8Array(6) }
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Which?' }, { type: 'image' }] },
  ]
  const [own, question] = await read([
    { ...task, question: undefined, messages, images: [image], documents: 'facts.jsonl' },
    { ...task, id: 'b', images: [image], documents: [{ title: 'only', text: 'here' }] },
  ])
  expect(own!.messages).toEqual(messages)
  expect(own!.images).toEqual([image])
  expect(own!.documents).toEqual([{ id: 'd00000', title: 'a', text: 'b' }])
  expect(question!.messages[0]!.content).toEqual([{ type: 'image' }, { type: 'text', text: 'q?' }])
  expect(question!.documents).toEqual([{ id: 'd00000', title: 'only', text: 'here' }])
})

const image = { width: 2, height: 2, data: new Uint8Array(3) }
test.each<[object, string]>([
  [{ id: undefined }, 'id must be a text that is not empty, got nothing. Add it.'],
  [{ id: 'first' }, 'id must be unique, got "first", which PATH: task 1 has too. Rename one.'],
  [{ question: ' ' }, 'question must be a text that is not empty, got " ". Write it in quotes.'],
  [{ tool: [] }, 'fields are id, question, messages, images, tools, documents, family, split, grade, got "tool".'],
  [{ split: 'dev' }, 'split must be one of train, validation, test, got "dev". Choose one.'],
  [{ split: undefined }, 'split must be one of train, validation, test, got nothing. Add it.'],
  [{ grade: 1 }, 'grade must be a function (answer) => number from 0 to 1, got 1. Add it.'],
  [{ messages: [{ content: 'q' }] }, 'a task must have question or messages, got both. Delete one.'],
  [{ images: [image] }, 'an image must be a path, a data URI, or { width, height, data }'],
  [{ images: ['no.png'] }, 'image must be a file beside the task file, got nothing at'],
  [
    { question: undefined, messages: [{ role: 'user', content: [{ type: 'image' }] }] },
    'messages must have an image part for each of images, got 1 messages with 1 for 0. Correct them.',
  ],
  [
    { question: undefined, messages: [{ role: 'user', content: 3 }] },
    "content must be a text or a list of { type: 'text', text } and { type: 'image' }, got 3.",
  ],
])('%j is told by file and task', async (change, message) => {
  await expect(
    read([
      { ...task, id: 'first' },
      { ...task, ...change },
    ]),
  ).rejects.toThrow(`${path()}: task 2: ${message.replace('PATH', path())}`)
})

test('exports that are no tasks', async () => {
  await expect(read(undefined)).rejects.toThrow(
    `${path()}: the default export must be a list of tasks, or a function (split) => list of tasks, got undefined.`,
  )
  await expect(read((split: string) => (split === 'test' ? 3 : []))).rejects.toThrow(/got 3 for test/)
  await expect(read([])).rejects.toThrow(/at least one task is needed, got none/)
  await expect(read([3])).rejects.toThrow(/task 1: a task must be an object, got 3/)
  await expect(read((split: string) => [{ ...task, split, id: 'a' }])).rejects.toThrow(
    /validation task 1: id must be unique, got "a", which .*train task 1 has too/,
  )
  await expect(read((split: string) => [{ ...task, id: split }])).rejects.toThrow(
    /validation task 1: split must be the one asked for, validation, got "train"/,
  )
})
