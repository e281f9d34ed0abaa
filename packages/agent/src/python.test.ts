import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPythonTool, type PythonTool, renderPython } from './python.ts'

let python: PythonTool
const run = async (code: string) => python.run({ code }, { images: [], documents: [] }, new AbortController().signal)
const text = async (code: string) => (await run(code)).text

beforeAll(async () => {
  python = createPythonTool({ timeoutMs: 3000 })
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

test('an endless loop is killed, the next call works', async () => {
  expect((await run('while True:\n    try:\n        pass\n    except BaseException:\n        pass')).status).toBe(
    'timeout',
  )
  expect(await text('1+1')).toBe('=> 2')
}, 60_000)

test('hostile code reaches neither files nor network nor JavaScript', async () => {
  expect(await text('open("/etc/passwd").read()')).toMatch(/^FileNotFoundError/)
  expect(await text('import js\njs.process')).toMatch(/^ImportError/)
  expect(await text('import pyodide_js')).toMatch(/^ImportError/)
  expect(await text('from pyodide.code import run_js\nrun_js("1")')).toMatch(/Error/)
  expect(await text('import urllib.request\nurllib.request.urlopen("http://127.0.0.1:9/")')).toMatch(/Error/)
  expect(await text('import os\nsorted(os.listdir("/"))')).not.toMatch(/work|root|etc\/passwd/)
  expect(await text('import os\nos.system("id")')).toMatch(/^(=> -1|OSError|AttributeError|=> \d+)/)
})

test('long output keeps its head and tail', () => {
  const long = renderPython({ stdout: 'a'.repeat(3000), value: '7', error: null }, 100)
  expect(long.length).toBeLessThanOrEqual(100)
  expect(long).toMatch(/^a+\n\.\.\.\na+\n=> 7$/)
})
