import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readSnapshot, snapshotPath, writeSnapshot } from './python-snapshot.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'axpo-snapshot-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('what was written is read; what is missing, torn or changed is not', () => {
  const path = snapshotPath(join(folder, 'new'), ['1.0', 256])
  expect(readSnapshot(path)).toBeNull()
  expect(writeSnapshot(path, Buffer.from('memory'))).toBe(true)
  expect(readSnapshot(path)?.toString()).toBe('memory')
  expect(readdirSync(join(folder, 'new'))).toHaveLength(1)
  const whole = readFileSync(path)
  for (const bad of [whole.subarray(0, -1), whole.subarray(0, 10), Buffer.concat([whole, whole]), Buffer.alloc(0)]) {
    writeFileSync(path, bad)
    expect(readSnapshot(path)).toBeNull()
  }
  expect(snapshotPath(folder, ['1.0', 256])).not.toBe(snapshotPath(folder, ['1.1', 256]))
  writeFileSync(join(folder, 'file'), '')
  expect(writeSnapshot(join(folder, 'file', 'x'), Buffer.from('memory'))).toBe(false)
})

const program = `
import { createPythonTool } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)}
const python = createPythonTool({ interpreters: 2, snapshotFolder: process.argv[1] })
await python.warm()
const context = { images: [], documents: [] }
const { text } = await python.run({ code: 'import random\\n(47*83%13%4, {"b", "a"}, random.random())' }, context, new AbortController().signal)
console.log(text)
python.dispose()
`
const runProcess = (kept: string) =>
  execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program, kept], { encoding: 'utf8' })

test('a later process answers from the kept memory as the first one did; a file that does not start is made again', {
  timeout: 120_000,
}, () => {
  const kept = join(folder, 'kept')
  const first = runProcess(kept)
  expect(first).toMatch(/^=> \(\d, \{.*\}, 0\.\d+\)\n$/)
  const [name] = readdirSync(kept)
  const path = join(kept, name!)
  const whole = readFileSync(path)
  expect(runProcess(kept)).toBe(first)
  expect(readFileSync(path).equals(whole)).toBe(true)

  writeSnapshot(path, Buffer.from('not the memory of a Python'))
  expect(runProcess(kept)).toBe(first)
  expect(readFileSync(path).length).toBe(whole.length)
})
