import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readTar } from './tar.mjs'

const folder = mkdtempSync(join(tmpdir(), 'axpo-tar-'))
afterAll(() => rmSync(folder, { recursive: true }))

const long = `${'deep/'.repeat(30)}file-${'x'.repeat(80)}.bin`
const contents = new Map([
  ['empty', Buffer.alloc(0)],
  ['one', Buffer.from('1')],
  ['block', Buffer.alloc(512, 7)],
  ['beyond', Buffer.alloc(10_007, 9)],
  [long, Buffer.from('long name')],
])

function archive(format: string): Buffer {
  for (const [name, bytes] of contents) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), bytes)
  }
  return execFileSync('tar', [`--format=${format}`, '-C', folder, '-cf', '-', ...contents.keys()])
}

test.each(['ustar', 'pax', 'gnu'])("reads what the system's tar writes: %s", (format) => {
  const files = [...readTar(archive(format))]
  expect(files.map((file) => file.name)).toEqual([...contents.keys()])
  for (const file of files) expect(file.data.equals(contents.get(file.name) ?? Buffer.from('missing'))).toBe(true)
})

test('a torn archive and a wrong checksum are told', () => {
  const whole = archive('gnu')
  expect(() => [...readTar(whole.subarray(0, 512 * 8))]).toThrow(/must hold 10007 bytes, got 1024/)
  expect(() => [...readTar(whole.subarray(0, 512 * 5))]).toThrow(/must close with an empty block/)
  const bent = Buffer.from(whole)
  bent[0] = (bent[0] ?? 0) + 1
  expect(() => [...readTar(bent)]).toThrow(/checksum/)
})

test('an empty archive holds nothing', () => expect([...readTar(Buffer.alloc(1024))]).toEqual([]))
