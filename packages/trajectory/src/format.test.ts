/** What a reader refuses although every checksum is right: fields of a wrong type or value, a header that is none. */

import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { expect, test } from 'vitest'
import { crc32 } from './crc32.ts'
import { decodeRecords, encodeRecord, FormatError, type Trajectory, type TrajectoryRecord } from './index.ts'
import { sampleImage, sampleSha256, sampleTrajectories } from './sample.ts'

type Field = { [key: string]: Field } | Field[] | unknown
type Path = readonly (string | number)[]

const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, copyBuffers: true })

function frame(kind: string, body: unknown): Uint8Array {
  const bytes = new Uint8Array(packr.pack(body))
  return new Uint8Array(packr.pack([kind, crc32(bytes), bytes]))
}

/** Body as plain values. */
function bodyOf(record: TrajectoryRecord): Record<string, Field> {
  const [, , body] = packr.unpack(encodeRecord(record)) as [string, number, Uint8Array]
  return packr.unpack(body) as Record<string, Field>
}

const header = encodeRecord({ kind: 'header', meta: {} })
const source = encodeRecord({ kind: 'trajectory', trajectory: sampleTrajectories[0]! })
const before = new Uint8Array([...header, ...source])

function decode(kind: string, body: unknown): TrajectoryRecord | undefined {
  return [...decodeRecords(new Uint8Array([...before, ...frame(kind, body)]), 'x.msgpack')][2]
}

const at = (body: Field, path: Path): Field => path.reduce<Field>((v, key) => (v as Record<string, Field>)[key], body)

/** Every field, at any depth. */
function pathsOf(value: Field, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [path]
  const inner = Object.entries(value).flatMap(([key, v]) => pathsOf(v, [...path, key]))
  return path.length === 0 ? inner : [path, ...inner]
}

/** `value` undefined: the field is removed. */
function changed(body: Field, path: Path, value: unknown): Field {
  const copy = structuredClone(body)
  const holder = at(copy, path.slice(0, -1)) as Record<string, Field>
  const key = String(path.at(-1))
  if (value !== undefined) holder[key] = value
  else if (Array.isArray(holder)) holder.splice(Number(key), 1)
  else delete holder[key]
  return copy
}

const anyValue = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    '',
    '1',
    'banana',
    'answer',
    'length',
    'ok',
    [],
    {},
    [{}],
    new Date(0),
  ),
  fc.integer({ min: -3, max: 20 }),
  fc.double(),
  fc.bigInt({ min: 2n ** 60n, max: 2n ** 63n - 1n }),
  fc.string(),
  fc.constantFrom('b2'.repeat(32), sampleTrajectories[0]!.id),
  fc.uint8Array({ maxLength: 60 }),
)

test('a trajectory with any field replaced or removed is refused, or comes out as it was written', () => {
  const outcomes = { refused: 0, equal: 0 }
  for (const trajectory of sampleTrajectories) {
    const body = bodyOf({ kind: 'trajectory', trajectory })
    const paths = pathsOf(body)
    expect(paths.length).toBeGreaterThan(50)
    fc.assert(
      fc.property(fc.constantFrom(...paths), anyValue, (path, value) => {
        // as msgpack has it: -0 is 0
        const broken = packr.unpack(new Uint8Array(packr.pack(changed(body, path, value)))) as Field
        let record: TrajectoryRecord | undefined
        try {
          record = decode('trajectory', broken)
        } catch (error) {
          outcomes.refused++
          expect(error).toBeInstanceOf(FormatError)
          expect(error).toMatchObject({ fault: 'corrupt' })
          expect(String(error)).toContain(`x.msgpack: corrupt record at byte ${before.length}: `)
          return
        }
        outcomes.equal++
        expect(record?.kind).toBe('trajectory')
        expect(bodyOf(record!)).toEqual(broken)
      }),
      { numRuns: 1500 },
    )
  }
  expect(Math.min(outcomes.refused, outcomes.equal)).toBeGreaterThan(20)
})

test('the message names the trajectory, the field and the value', () => {
  const body = bodyOf({ kind: 'trajectory', trajectory: sampleTrajectories[1]! })
  const cases: [Path, unknown, RegExp][] = [
    [['logprobs'], new Uint8Array(4), /"7-2-zoom-test-5-1000": logprobs must have 14 entries, got 8/],
    [['entropies'], new Uint8Array(0), /entropies must have 14 entries, got 7/],
    [['tokens'], new Uint8Array(7), /tokens must be bin of 4 bytes an element, got 7 bytes/],
    [['segments'], [], /segments must end at token 14, got 0/],
    [['reward'], '1', /reward must be finite, got "1"/],
    [['finish'], 'banana', /finish must be one of answer, length, turns, invalid-calls, got "banana"/],
    [['parent', 'fork_token'], 15, /fork_token must lie in 1\.\.14, got 15/],
    [['parent', 'id'], 'nobody', /parent "nobody" is not before it among the trajectories of its step/],
    [['step'], 3, /parent "7-2-zoom-test-5-0" is not before it among the trajectories of its step/],
    [['segments', 2, 'call', 'status'], 'fine', /status must be one of ok, .*, got "fine"/],
  ]
  for (const [path, value, message] of cases)
    expect(() => decode('trajectory', changed(body, path, value))).toThrow(message)
})

test('images, meta records and headers are checked too', () => {
  const image = bodyOf({ kind: 'image', sha256: sampleSha256, image: sampleImage })
  expect(decode('image', image)).toMatchObject({ sha256: sampleSha256, image: sampleImage })
  for (const [key, value] of [
    ['sha256', 'A'],
    ['width', 2],
    ['height', '2'],
    ['rgb', 'pixels'],
  ] as const)
    expect(() => decode('image', { ...image, [key]: value })).toThrow(/corrupt record at byte/)
  expect(() => decode('meta', [1])).toThrow(/a meta record must be a map, got an array of 1/)
  const read = (body: unknown) => [...decodeRecords(frame('header', body), 'x')]
  expect(() => read({ format: 'axpo-trajectory', version: '1' })).toThrow(/version must be a whole number from 1/)
  expect(() => read({ format: 'axpo-trajectory', version: 2 })).toThrow(/version 2 is newer/)
  expect(() => read({ format: 'other', version: 1 })).toThrow(/x: not a trajectory file: the header's format/)
})

test('a header cannot be given fields of the format', () => {
  for (const key of ['format', 'version'])
    expect(() => encodeRecord({ kind: 'header', meta: { [key]: 3 } })).toThrow(
      `meta must not hold the header's own key "${key}", got 3. Give the field another name.`,
    )
})

test('reading checked records stays fast: a fifth of 10,000 a second of CPU time at the least', () => {
  const trajectory: Trajectory = sampleTrajectories[0]!
  const record = encodeRecord({ kind: 'trajectory', trajectory })
  const bytes = new Uint8Array(header.length + 5000 * record.length)
  bytes.set(header)
  for (let i = 0; i < 5000; i++) bytes.set(record, header.length + i * record.length)
  const start = process.cpuUsage()
  let count = 0
  for (const r of decodeRecords(bytes, 'x')) if (r.kind === 'trajectory') count++
  const { user, system } = process.cpuUsage(start)
  expect(count).toBe(5000)
  // the machine may be busy: on an idle one it is 10,000 and more
  expect(5000 / ((user + system) / 1e6)).toBeGreaterThan(2000)
})
