import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPythonTool, type PythonTool, renderPython } from './python.ts'

let python: PythonTool
const run = async (code: string) => python.run({ code }, { images: [], documents: [] }, new AbortController().signal)
const text = async (code: string) => (await run(code)).text

beforeAll(async () => {
  python = createPythonTool({ timeoutMs: 30_000 })
  await python.warm()
}, 60_000)
afterAll(() => python.dispose())

test('expressions, prints, errors: as a person would see them', async () => {
  expect(await text('47*83%13%4')).toBe(`=> ${((47 * 83) % 13) % 4}`)
  expect(await text('print("a")\n3')).toBe('a\n=> 3')
  expect(await text('x = 1')).toBe('(no output)')
  expect(await text('1/0')).toBe('ZeroDivisionError: division by zero')
  expect(await text('def f(:')).toMatch(/^SyntaxError: /)
  expect(await text('from fractions import Fraction\nFraction(1, 3) + 1')).toBe('=> Fraction(4, 3)')
  expect(await text('"abc"')).toBe("=> 'abc'")
})

test('calls are stateless and repeatable', async () => {
  await run('y = 5')
  expect(await text('y')).toBe("NameError: name 'y' is not defined")
  const draw = 'import random\nrandom.random()  # '
  expect(await text(`${draw}1`)).toBe(await text(`${draw}2`))
})

test('long output keeps its head and tail', () => {
  const long = renderPython({ stdout: 'a'.repeat(3000), value: '7', error: null }, 100)
  expect(long.length).toBeLessThanOrEqual(100)
  expect(long).toMatch(/^a+\n\.\.\.\na+\n=> 7$/)
})

const odd: [string, string, RegExp][] = [
  ['no code', '', /^\(no output\)$/],
  ['NUL', 'a\0b', /^SyntaxError: source code string cannot contain null bytes$/],
  ['a lone surrogate in the code', "'\ud800'", /^UnicodeEncodeError/],
  ['a lone surrogate printed', 'print(chr(0xd800))', /^UnicodeEncodeError/],
  ['a lone surrogate as value', 'chr(0xd800)', /^=> '\\ud800'$/],
  ['2 MB of code', `x = 0\n${'x = 1\n'.repeat(333_333)}`, /^(MemoryError|\(no output\))$/],
  ['5,000 parentheses', '('.repeat(5000), /^SyntaxError: too many nested parentheses$/],
  ['endless recursion', 'def f(): f()\nf()', /^RecursionError/],
  ['a large number', '10**5000', /^ValueError: Exceeds the limit \(4300 digits\)/],
  ['a huge string', "'a' * 10**10", /^OverflowError/],
  ['a string beyond the heap', "'a' * (3 * 10**8)", /^MemoryError$/],
  ['a growing list', "l = []\nwhile True: l.append('x' * 10**7)", /^MemoryError$/],
  ['a flood', "for i in range(300): print('x' * 10**4)", /^x+\n\.\.\.\nx+$/],
  ['leaving', 'import sys\nsys.exit(3)', /^SystemExit: 3$/],
  ['a value that cannot be shown', 'class A:\n  def __repr__(self): raise ValueError("no")\nA()', /^ValueError: no$/],
]
test.each(odd)('%s: one short observation, and the next call works', async (_, code, wording) => {
  const result = await run(code)
  expect(result).toMatchObject({ status: 'ok', text: expect.stringMatching(wording) })
  expect(result.text.length).toBeLessThanOrEqual(1024)
  expect(await text('1+1')).toBe('=> 2')
})

const leaks: [string, string, string, string][] = [
  [
    'builtins and math',
    'import builtins, math\nbuiltins.len = math.sqrt = lambda x: 99',
    'import math\n[len([]), math.sqrt(4)]',
    '=> [0, 2.0]',
  ],
  ['own builtins', "print = len = str = lambda *x: 'mine'", 'print(len(str(12)))', '2'],
  ['the harness', "import sys, json\njson.dumps = repr\nsys.modules['__main__'].__dict__.clear()", '[7]', '=> [7]'],
  ['its globals', 'kept = 5', 'kept', "NameError: name 'kept' is not defined"],
  [
    'an unfinished generator',
    "def g(l):\n  try: yield l\n  finally: print('from the past')\nl = []\nl.append(g(l))\nnext(l[0])\nNone",
    'x = [[i] for i in range(200000)]\nlen(x)',
    '=> 200000',
  ],
]
test.each(leaks)('nothing reaches the next call: %s', async (_, before, after, expected) => {
  await run(before)
  for (let i = 0; i < 3; i++) expect(await text(after)).toBe(expected)
})

describe('time limit', () => {
  const loops = {
    'that swallows everything': 'while True:\n  try:\n    while True: pass\n  except BaseException: pass',
    'inside C': '9**9**9 % 7',
    'with the clock taken away':
      'import sys\nsys.meta_path.pop(0)\nimport pyodide_js\npyodide_js.setInterruptBuffer(None)\nwhile True: pass',
  }
  let short: PythonTool
  beforeAll(() => {
    short = createPythonTool({ timeoutMs: 1500 })
  })
  afterAll(() => short.dispose())

  test.each(Object.entries(loops))('an endless loop %s', async (_, code) => {
    const context = { images: [], documents: [] }
    const result = await short.run({ code }, context, new AbortController().signal)
    expect(result).toEqual({ status: 'timeout', text: '' })
  })
})

describe('life', () => {
  test('warm starts once; 50 calls at once are each answered with their own result', async () => {
    await Promise.all([python.warm(), python.warm()])
    const texts = await Promise.all(Array.from({ length: 50 }, (_, i) => text(`${i}*${i}`)))
    expect(texts).toEqual(texts.map((_, i) => `=> ${i * i}`))
  })

  test('dispose: running, waiting and later calls fail, warm throws', async () => {
    const other = createPythonTool({ interpreters: 1, timeoutMs: 100_000 })
    const call = (code: string) => other.run({ code }, { images: [], documents: [] }, new AbortController().signal)
    await other.warm()
    const open = [call('while True: pass'), call('1+1')]
    await new Promise((resolve) => setTimeout(resolve, 50))
    other.dispose()
    const gone = { status: 'failed', text: 'the tool has been disposed of' }
    expect(await Promise.all([...open, call('1+1')])).toEqual([gone, gone, gone])
    await expect(other.warm()).rejects.toThrow('the tool has been disposed of. Create another one.')
  })

  test('dispose before the start is over: the call fails at once', async () => {
    const other = createPythonTool({ interpreters: 1 })
    const open = other.run({ code: '1' }, { images: [], documents: [] }, new AbortController().signal)
    other.dispose()
    expect((await open).status).toBe('failed')
  })
})
