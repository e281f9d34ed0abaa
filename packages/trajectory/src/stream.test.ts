/** Files read in pieces: records wider than a piece, torn tails, files that are none, what is kept in memory. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  decodeRecords,
  encodeRecord,
  loadTrajectories,
  type RawImage,
  readTrajectories,
  type Trajectory,
  TrajectoryWriter,
} from './index.ts'
import { sampleImage, sampleSha256, sampleTrajectories } from './sample.ts'
import { RecordStream } from './stream.ts'

const folder = mkdtempSync(join(tmpdir(), 'axpo-trajectory-stream-'))
afterAll(() => rmSync(folder, { recursive: true }))
const [source, fork] = sampleTrajectories as readonly [Trajectory, Trajectory]

const wide: RawImage = { width: 700, height: 500, data: new Uint8Array(700 * 500 * 3).map((_, i) => i % 251) }
const wideSha256 = 'b2'.repeat(32)

/** Four steps of a source and its continuation, with an image of 1 MB in between. */
function write(path: string): number[] {
  const writer = TrajectoryWriter.open(path, { meta: { seed: 7 } })
  const ends = [writer.byteLength()]
  const ended = () => ends.push(writer.byteLength())
  writer.image(sampleSha256, sampleImage)
  ended()
  for (let step = 0; step < 4; step++) {
    writer.trajectory({ ...source, step })
    ended()
    if (step === 1) writer.image(wideSha256, wide)
    if (step === 1) ended()
    writer.trajectory({ ...fork, step })
    ended()
  }
  writer.meta({ bytes: Uint8Array.of(1, 2, 3) })
  ended()
  writer.close()
  return ends
}

test('a file read in pieces gives the records of the file in memory, and opening it to append changes no byte', async () => {
  const path = join(folder, 'pieces.msgpack')
  const ends = write(path)
  const bytes = readFileSync(path)
  const read = await Array.fromAsync(readTrajectories(path))
  expect(read.map((r) => r.end)).toEqual([...decodeRecords(bytes, path)].map((r) => r.end))
  const again = Buffer.concat(read.map((r) => encodeRecord(r)))
  expect(again.equals(bytes)).toBe(true)
  expect(read.map((r) => r.end)).toEqual(ends)
  expect(read.at(-1)).toMatchObject({ value: { bytes: Uint8Array.of(1, 2, 3) } })
  const writer = TrajectoryWriter.open(path)
  writer.image(wideSha256, wide)
  expect(writer.byteLength()).toBe(bytes.length)
  writer.close()
  expect(readFileSync(path).equals(bytes)).toBe(true)
})

test('pieces of any size give the same records', () => {
  const path = join(folder, 'sizes.msgpack')
  write(path)
  const bytes = readFileSync(path)
  const expected = [...decodeRecords(bytes, path)].map((r) => r.end)
  for (const size of [997, 65536, 1 << 20]) {
    const stream = new RecordStream(path)
    const ends: number[] = []
    for (let read = 0; read < bytes.length; ) {
      const room = stream.room()
      const count = Math.min(size, room.length, bytes.length - read)
      room.set(bytes.subarray(read, read + count))
      stream.filled(count)
      read += count
      for (let taken = stream.next(); taken; taken = stream.next()) ends.push(taken.end)
    }
    expect(ends).toEqual(expected)
    expect(stream.tail()).toBe(null)
  }
})

test("tornTail 'stop' says how many records are whole and where the tail begins; 'error' says how to cut it off", async () => {
  const path = join(folder, 'torn.msgpack')
  const ends = write(path)
  expect((await loadTrajectories(path, { tornTail: 'stop' })).tornTail).toBe(null)
  // inside the wide image, and inside the record after it
  for (const [cut, records] of [
    [ends[4]! + 400_000, 5],
    [ends[5]! + 9, 6],
  ] as const) {
    const torn = join(folder, `torn-${cut}.msgpack`)
    writeFileSync(torn, readFileSync(path).subarray(0, cut))
    const file = await loadTrajectories(torn, { tornTail: 'stop' })
    expect(file.tornTail).toEqual({ records, byte: ends[records - 1], reason: 'record ends before its body does' })
    expect(file.trajectories.length).toBe(3)
    await expect(loadTrajectories(torn)).rejects.toThrow(
      `${torn}: torn record at byte ${ends[records - 1]}: record ends before its body does. Its writer was cut off, or is still writing. ` +
        `Let it finish, or, to keep the ${records} whole records before it: truncate -s ${ends[records - 1]} "${torn}".`,
    )
  }
})

test('a file that is none is called so, a broken header is called broken, an empty or missing file unreadable', async () => {
  const path = join(folder, 'other.txt')
  writeFileSync(path, '{"json": true}')
  await expect(loadTrajectories(path)).rejects.toThrow(
    /other\.txt: not a trajectory file: .* got the bytes 7b 22 6a .* Check the path\.$/,
  )
  await expect(loadTrajectories(path, { tornTail: 'stop' })).rejects.toMatchObject({ fault: 'foreign' })
  const header = encodeRecord({ kind: 'header', meta: {} })
  header[header.length - 1]! ^= 1
  writeFileSync(path, header)
  await expect(loadTrajectories(path)).rejects.toThrow(/corrupt record at byte 0: checksum .* Restore the file/)
  writeFileSync(path, '')
  await expect(loadTrajectories(path)).rejects.toThrow(/the file is empty/)
  await expect(loadTrajectories(`${path}.none`)).rejects.toThrow(/cannot be read/)
  await expect(loadTrajectories(folder)).rejects.toThrow(/cannot be read/)
})

test('a reader left early closes its file, and one that waits keeps only the current step', async () => {
  const path = join(folder, 'early.msgpack')
  write(path)
  for await (const record of readTrajectories(path)) if (record.kind === 'trajectory') break
  const records = [
    encodeRecord({ kind: 'header', meta: {} }),
    encodeRecord({ kind: 'trajectory', trajectory: source }),
    encodeRecord({ kind: 'trajectory', trajectory: { ...source, id: 'next', step: 3 } }),
    encodeRecord({ kind: 'trajectory', trajectory: fork }),
  ]
  const bytes = Buffer.concat(records)
  const at = bytes.length - records[3]!.length
  expect(() => [...decodeRecords(bytes, 'x')]).toThrow(
    `x: corrupt record at byte ${at}: trajectory "${fork.id}": parent "${source.id}" is not before it among the trajectories of its step.`,
  )
})

test('a writer given a field of the format makes no file', () => {
  const path = join(folder, 'reserved.msgpack')
  expect(() => TrajectoryWriter.open(path, { meta: { version: 'v2' } })).toThrow(/header's own key "version", got v2/)
  expect(existsSync(path)).toBe(false)
})
