import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decode, encode } from 'fast-png'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { demonstrateUserTask, gradeUserTask, loadUserTasks, splitOfContent } from './index.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tasks-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const path = () => join(folder, 'quiz.jsonl')
/** Objects become lines, texts stay as they are. */
const write = (...lines: (object | string)[]) => {
  writeFileSync(path(), lines.map((l) => (typeof l === 'string' ? l : JSON.stringify(l))).join('\n'))
  return path()
}
const blue = encode({ width: 2, height: 1, channels: 3, data: Uint8Array.from([0, 0, 255, 0, 0, 255]) })
const decodePng = (bytes: Uint8Array) => {
  const { width, height, data } = decode(bytes)
  return { width, height, data: Uint8Array.from(data) }
}

test('two fields are enough; the rest has defaults', () => {
  const [task] = loadUserTasks(write({ question: 'Capital of Peru?', answer: 'Lima' }))
  expect(task).toMatchObject({
    id: 'quiz-1',
    family: 'quiz',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Capital of Peru?' }] }],
    images: [],
    tools: [],
    documents: [],
    gold: 'Lima',
    grader: { kind: 'exact' },
    calls: [],
    easy: false,
    known: false,
    place: `${path()}:1`,
  })
})

test('images are files beside it or data URIs, documents lines or a file read once; byte order mark, CRLF and empty lines are fine', () => {
  writeFileSync(join(folder, 'blue.png'), blue)
  writeFileSync(join(folder, 'facts.jsonl'), '{"title": "a", "text": "b"}\n{"id": "x", "title": "c", "text": "d"}\n')
  const uri = `data:image/png;base64,${Buffer.from(blue).toString('base64')}`
  const lines = [
    { question: 'Colour?', answer: 'blue', image: 'blue.png', documents: 'facts.jsonl', tools: ['search'] },
    { question: 'Both?', answer: 'yes', image: [uri, 'blue.png'], documents: 'facts.jsonl' },
    { question: 'Own?', answer: 'yes', documents: [{ title: 'only', text: 'here' }] },
  ]
  writeFileSync(path(), `\uFEFF${lines.map((l) => JSON.stringify(l)).join('\r\n\r\n')}\r\n`)
  const [one, two, three] = loadUserTasks(path(), decodePng)
  expect(one!.images).toEqual([{ width: 2, height: 1, data: Uint8Array.from([0, 0, 255, 0, 0, 255]) }])
  expect(one!.messages[0]!.content).toEqual([{ type: 'image' }, { type: 'text', text: 'Colour?' }])
  expect(two!.images[0]).toEqual(two!.images[1])
  expect(one!.documents).toEqual([
    { id: 'd00000', title: 'a', text: 'b' },
    { id: 'x', title: 'c', text: 'd' },
  ])
  expect(two!.documents).toBe(one!.documents)
  expect(three!.documents).toEqual([{ id: 'd00000', title: 'only', text: 'here' }])
  expect(three!.place).toBe(`${path()}:5`)
})

test.each<[object | string, string]>([
  [
    '{"question": "q"',
    "a line must be JSON, got Expected ',' or '}' after property value in JSON at position 16 (line 1 column 17). Put one whole object on each line.",
  ],
  ['[1]', 'a line must be an object, got [1]. Put one object on each line.'],
  [{ question: 'q' }, 'answer must be a text that is not empty, got nothing. Add it.'],
  [{ question: ' ', answer: 'a' }, 'question must be a text that is not empty, got " ". Write it in quotes.'],
  [
    { question: 'q', answer: 'a', tool: [] },
    'fields are question, answer, id, family, split, tools, image, documents, grader, tolerance, choices, calls, easy, known, got "tool". Rename or delete it.',
  ],
  [{ question: 'q', answer: 'a', tools: [1] }, 'tools must be a list of texts, got [1]. Write it as ["..."].'],
  [
    { question: 'q', answer: 'a', split: 'dev' },
    'split must be one of train, validation, test, got "dev". Choose one.',
  ],
  [
    { question: 'q', answer: 'a', grader: 'judge' },
    'grader must be one of exact, number, choice, contained, parts, got "judge". Choose one.',
  ],
  [
    { question: 'q', answer: 'a', grader: 'number' },
    'answer must be a number for the grader number, got "a". Write one number.',
  ],
  [
    { question: 'q', answer: 'a', tolerance: 1 },
    'tolerance must be a number of at least 0, for the grader number, got 1 for exact. Correct or delete it.',
  ],
  [
    { question: 'q', answer: 'a', grader: 'choice' },
    'choices belong to the grader choice, got grader "choice" and 0 choices. Add or delete them.',
  ],
  [
    { question: 'q', answer: 'C', choices: ['x', 'y'] },
    'answer must be the letter or the text of a choice, got "C". Correct it.',
  ],
  [
    { question: 'q', answer: 'a', documents: [{ text: 't' }] },
    'title must be a text that is not empty, got nothing. Add it.',
  ],
  [
    { question: 'q', answer: 'a', calls: [{ name: 'search' }] },
    'a call must have arguments (an object) and right (true or false), got {"name":"search"}. Add them.',
  ],
  ...[['2'], ['2', ' 2'], ['2, 3', '5'], 'a'].map((answer): [object, string] => [
    { question: 'q', answer, grader: 'parts' },
    `answer must be a list of two or more different texts without commas and semicolons for the grader parts, got ${JSON.stringify(answer)}. Write it as ["...", "..."].`,
  ]),
  [
    { question: 'q', answer: ['2', '3'], grader: 'exact' },
    'answer must be a text that is not empty, got ["2","3"]. Write it in quotes.',
  ],
  [{ question: 'q', answer: 'a', easy: 1 }, 'easy must be true or false, got 1. Correct it.'],
  [{ question: 'q', answer: 'a', known: 'yes' }, 'known must be true or false, got "yes". Correct it.'],
  [{ question: 'q', answer: 'a', id: 'first' }, 'id must be unique, got "first", which line 1 has too. Rename one.'],
  [
    { question: 'q', answer: 'a', image: 'data:,x' },
    'image must be a path or data:image/png;base64,..., got "data:,x". Encode it again.',
  ],
])('%j is told by file and line', (line, message) => {
  expect(() => loadUserTasks(write({ question: 'fine', answer: 'a', id: 'first' }, line), decodePng)).toThrow(
    `${path()}:2: ${message}`,
  )
})

test('files that are missing, empty or unreadable; every mistake is told at once, up to ten', () => {
  expect(() => loadUserTasks(join(folder, 'none.jsonl'))).toThrow(
    'none.jsonl: a JSONL file is needed, got nothing there.',
  )
  expect(() => loadUserTasks(write(''))).toThrow('at least one line is needed, got an empty file.')
  const line = { question: 'q', answer: 'a' }
  expect(() => loadUserTasks(write({ ...line, image: 'no.png' }), decodePng)).toThrow(
    /:1: image must be a file .*no\.png/,
  )
  expect(() => loadUserTasks(write({ ...line, documents: 'no.jsonl' }))).toThrow(/:1: documents must be .*no\.jsonl/)
  writeFileSync(join(folder, 'bad.jsonl'), '{"title": 3, "text": "t"}')
  expect(() => loadUserTasks(write({ ...line, documents: 'bad.jsonl' }))).toThrow(/bad\.jsonl:1: title must be a text/)
  writeFileSync(join(folder, 'bad.png'), 'no picture')
  expect(() => loadUserTasks(write({ ...line, image: 'bad.png' }), decodePng)).toThrow(/:1: image must be readable/)
  writeFileSync(join(folder, 'blue.png'), blue)
  expect(() => loadUserTasks(write({ ...line, image: 'blue.png' }))).toThrow(/images need a decoder, got none/)
  const many = Array.from({ length: 12 }, () => ({ question: 'q' }))
  const message = (() => {
    try {
      loadUserTasks(write(...many))
      return ''
    } catch (error) {
      return (error as Error).message
    }
  })()
  expect(message.split('\n').length).toBe(11)
  expect(message).toMatch(/:10: answer must be .*\nand 2 more$/s)
})

const graded = (line: object, answer: string | null) =>
  gradeUserTask(loadUserTasks(write({ question: 'q', ...line }))[0]!, answer)

test.each<[string, object, string[], (string | null)[]]>([
  ['exact', { answer: 'Lima' }, ['Lima', ' Lima\n'], ['lima', 'Lima!', '', null]],
  [
    'number',
    { answer: 1000, grader: 'number' },
    ['1000', '1,000 m', '1e3', '+1000.0'],
    ['1001', '1000 or 2000', '1000000', 'none', ''],
  ],
  [
    'number with tolerance',
    { answer: '-0.5', grader: 'number', tolerance: 0.01 },
    ['-.5', '\u22120.505', 'x = -0.49'],
    ['0.5', '-0.52'],
  ],
  [
    'choice',
    { answer: 'B', choices: ['red', 'blue'] },
    ['B', 'b', '(B)', 'B.', 'B) blue', 'B: blue', 'Blue'],
    ['A', 'C', 'A blue one', 'by the way', 'not blue'],
  ],
  ['choice, answer by its text', { answer: 'blue', choices: ['red', 'blue'] }, ['B'], ['A']],
  [
    'contained',
    { answer: 'new york', grader: 'contained' },
    ['It is New  York.', 'NEW YORK'],
    ['New Yorkshire', 'York', ''],
  ],
  [
    'parts: all of them, and no more',
    { answer: ['2', 'three'] },
    ['2, three', 'Three;2', ' 2\nTHREE\n', '2,2,three'],
    ['23', 'two three', ',', '', null],
  ],
])('grader %s', (_, line, right, wrong) => {
  for (const answer of right) expect([answer, graded(line, answer)]).toEqual([answer, 1])
  for (const answer of wrong) expect([answer, graded(line, answer)]).toEqual([answer, 0])
})

test('parts: the share that is in the answer; more entries than parts share the credit', () => {
  const primes = { answer: ['2', '3', '5', '7'] }
  const reward = (answer: string) => graded(primes, answer)
  expect(reward('2, 3')).toBe(2 / 4)
  expect(reward('7')).toBe(1 / 4)
  expect(reward('2, 3, 5, 9')).toBe(3 / 4)
  // whoever lists everything
  expect(reward('1, 2, 3, 4, 5, 6, 7, 8')).toBe(4 / 8)
  expect(reward('4')).toBe(0)
  expect(loadUserTasks(write({ question: 'q', ...primes }))[0]).toMatchObject({
    gold: '2, 3, 5, 7',
    grader: { kind: 'parts', parts: ['2', '3', '5', '7'] },
  })
})

test('choices are listed in the question', () => {
  const [task] = loadUserTasks(write({ question: 'Which?', answer: 'A', choices: ['red', 'blue'] }))
  expect(task!.messages[0]!.content).toEqual([{ type: 'text', text: 'Which?\nA. red\nB. blue' }])
})

test('the split follows from the content: not from the file, the place or the name', () => {
  const lines = Array.from({ length: 600 }, (_, i) => ({ question: `How much is ${i} + 1?`, answer: `${i + 1}` }))
  const splits = (tasks: ReturnType<typeof loadUserTasks>) =>
    new Map(tasks.map((t) => [JSON.stringify(t.messages[0]!.content), t.split]))
  const there = splits(loadUserTasks(write(...lines)))
  expect(splits(loadUserTasks(write(...lines.toReversed())))).toEqual(there)
  const share = (split: string) => [...there.values()].filter((s) => s === split).length / 600
  expect(share('train')).toBeCloseTo(0.8, 1)
  expect(share('test')).toBeCloseTo(0.1, 1)
  const picture = (value: number) => [{ width: 1, height: 1, data: new Uint8Array(3).fill(value) }]
  const byPicture = new Set(Array.from({ length: 40 }, (_, i) => splitOfContent('q', 'a', picture(i))))
  expect(byPicture.size).toBe(3)
})

test('demonstrations: the calls of the file in the shares of the mixture, honest readings, guesses where nothing is known', () => {
  const call = (right: boolean, reading: string) => ({ name: 'search', arguments: { query: reading }, right, reading })
  const line = { question: 'q', answer: '1', calls: [call(true, '1'), call(false, '2')] }
  const [hard, easy] = loadUserTasks(write(line, { ...line, easy: true }))
  const mixture = { toolShare: 0.5, rightShare: 0.25 }
  const many = (task: typeof hard) =>
    Array.from({ length: 400 }, (_, i) => demonstrateUserTask(task!, mixture, ['0', '1', '2', '3'], 7, i))
  const withCall = many(hard).filter((d) => d.call)
  expect(withCall.length / 400).toBeCloseTo(0.5, 1)
  expect(withCall.filter((d) => d.call!.right).length / withCall.length).toBeCloseTo(0.25, 1)
  for (const d of withCall) expect(d.answer).toBe(d.call!.reading)
  const without = (task: typeof hard) => new Set(many(task).flatMap((d) => (d.call ? [] : [d.answer])))
  expect([...without(hard)].sort()).toEqual(['0', '1', '2', '3'])
  expect([...without(easy)]).toEqual(['1'])
  expect(many(hard)).toEqual(many(hard))
})
