/** Names: of files, and of the machine somebody worked on, which must not show. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { files, root } from './source.ts'

test('no file or folder is a drawer for everything', () => {
  const drawer = /^(utils?|helpers?|common|misc)$/
  expect(
    files.filter((path) => path.split('/').some((part) => drawer.test(part.split('.')[0]!.toLowerCase()))),
  ).toEqual([])
})

test('folders are one lower-case word or an op; files are kebab-case, but for documents and the names that tools ask for', () => {
  const documents = /^([A-Z]+\.md|LICENSE)$/
  const toolNames = /^(tokenizer_config|preprocessor_config)\.json$/
  /** Python's own rule: a module's name must be an identifier. */
  const pythonModule = /^[a-z0-9]+(_[a-z0-9]+)*\.py$/
  const kebab = /^\.?[a-z0-9]+([-.][a-z0-9]+)*$/
  const bad = files.filter((path) => {
    const parts = path.split('/')
    const name = parts.pop()!
    return (
      !parts.every((part) => kebab.test(part)) ||
      !(kebab.test(name) || pythonModule.test(name) || documents.test(name) || toolNames.test(name))
    )
  })
  expect(bad).toEqual([])
})

test("nothing names one machine's folders", () => {
  // put together here, so that this file does not name them either
  const places = ['work', 'home/[a-z]', 'Users', 'root'].map((place) => `/${place}`)
  const pattern = new RegExp(`(?<![\\w.$})/-])(${places.join('|')})(/|[a-z]*/)[\\w.]`)
  const binary = /\.(png|wasm|safetensors|msgpack|gz|bin|jpg)$/
  const bad = files
    .filter((path) => !binary.test(path))
    .flatMap((path) =>
      readFileSync(join(root, path), 'utf8')
        .split('\n')
        .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 100)}`] : [])),
    )
  expect(bad).toEqual([])
})
