import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeEach, expect, test } from 'vitest'
import {
  checkTrajectory,
  decodeRecords,
  encodeRecord,
  loadTrajectories,
  promptTokenCount,
  type Trajectory,
  TrajectoryWriter,
  usesTool,
} from './index.ts'
import { sampleImage, sampleSha256, sampleTrajectories } from './sample.ts'

const folder = mkdtempSync(join(tmpdir(), 'axpo-trajectory-'))
afterAll(() => rmSync(folder, { recursive: true }))
let path = ''
beforeEach(() => {
  path = join(mkdtempSync(join(folder, 'test-')), 'rollouts.msgpack')
})

function writeSample(to: string): number[] {
  const writer = TrajectoryWriter.open(to, { meta: { run: 'golden', seed: 7 } })
  const ends = [writer.byteLength()]
  writer.image(sampleSha256, sampleImage)
  writer.image(sampleSha256, sampleImage)
  ends.push(writer.byteLength())
  for (const t of sampleTrajectories) {
    writer.trajectory(t)
    ends.push(writer.byteLength())
  }
  writer.meta({ step: 2, accuracy: 0.5 })
  ends.push(writer.byteLength())
  writer.close()
  return ends
}

test('golden file of version 1: every later version must read it, and this one writes the same bytes', async () => {
  const golden = new URL('../golden/v1.msgpack', import.meta.url)
  writeSample(path)
  if (!existsSync(golden)) throw new Error(`missing ${golden.pathname}: restore it from git, it is never made anew`)
  expect(readFileSync(path).equals(readFileSync(golden))).toBe(true)
  const file = await loadTrajectories(golden.pathname)
  expect(file.meta).toEqual({ run: 'golden', seed: 7 })
  expect(file.trajectories).toEqual(sampleTrajectories)
  expect(file.images.get(sampleSha256)).toEqual(sampleImage)
  expect(file.metas).toEqual([{ step: 2, accuracy: 0.5 }])
})

test('a continuation stores only its own tokens and gets its prefix back', () => {
  const whole = encodeRecord({ kind: 'trajectory', trajectory: { ...sampleTrajectories[1]!, parent: null } }).length
  const suffix = encodeRecord({ kind: 'trajectory', trajectory: sampleTrajectories[1]! }).length
  expect(whole - suffix).toBeGreaterThan(7 * 13 - 60)
})

test('a file cut at any byte yields every whole record before the cut, then a torn error with path and offset', () => {
  const ends = writeSample(path)
  const bytes = readFileSync(path)
  for (let cut = 1; cut < bytes.length; cut++) {
    const whole = ends.filter((e) => e <= cut).length
    const seen: string[] = []
    const read = () => {
      for (const r of decodeRecords(bytes.subarray(0, cut), 'x.msgpack')) seen.push(r.kind)
    }
    if (ends.includes(cut)) read()
    else expect(read).toThrow(/x\.msgpack: torn record at byte \d+/)
    expect(seen.length).toBe(whole)
    expect([...decodeRecords(bytes.subarray(0, cut), 'x', { tornTail: 'stop' })].length).toBe(whole)
  }
})

test('one flipped bit never passes unnoticed: an error, and the records before it survive', () => {
  const ends = writeSample(path)
  const bytes = new Uint8Array(readFileSync(path))
  const kinds = [...decodeRecords(bytes, 'x')].map((r) => r.kind)
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const broken = bytes.slice()
      broken[bit >> 3]! ^= 1 << (bit & 7)
      const seen: string[] = []
      let threw = false
      try {
        for (const r of decodeRecords(broken, 'x')) seen.push(r.kind)
      } catch {
        threw = true
      }
      const before = ends.filter((e) => e <= bit >> 3).length
      expect(seen.slice(0, before)).toEqual(kinds.slice(0, before))
      expect(threw || seen.length < kinds.length).toBe(true)
    }),
    { numRuns: 400 },
  )
})

test('writer: drops a torn tail, goes on after it; truncateTo resumes at a checkpoint with the same bytes', () => {
  const ends = writeSample(path)
  const undisturbed = readFileSync(path)
  appendFileSync(path, undisturbed.subarray(ends[1]!, ends[2]! - 5))
  TrajectoryWriter.open(path).close()
  expect(readFileSync(path).equals(undisturbed)).toBe(true)
  const writer = TrajectoryWriter.open(path, { truncateTo: ends[2]! })
  writer.image(sampleSha256, sampleImage)
  writer.trajectory(sampleTrajectories[1]!)
  writer.meta({ step: 2, accuracy: 0.5 })
  writer.close()
  expect(readFileSync(path).equals(undisturbed)).toBe(true)
})

test('writer: refuses a checkpoint that the file does not reach, a parent or an image never written, and leaves corrupt files alone', () => {
  const ends = writeSample(path)
  truncateSync(path, ends[2]!)
  expect(() => TrajectoryWriter.open(path, { truncateTo: ends[3]! })).toThrow(/do not belong together/)
  expect(() => TrajectoryWriter.open(path, { truncateTo: ends[2]! - 1 })).toThrow(/do not belong together/)
  expect(() => TrajectoryWriter.open(`${path}.4`, { truncateTo: 9 })).toThrow(/do not belong together/)
  expect(existsSync(`${path}.4`)).toBe(false)
  const fresh = TrajectoryWriter.open(`${path}.2`)
  expect(() => fresh.trajectory(sampleTrajectories[0]!)).toThrow(/Call image\(\) first/)
  fresh.image(sampleSha256, sampleImage)
  expect(() => fresh.trajectory(sampleTrajectories[1]!)).toThrow(/was not written before it/)
  fresh.trajectory(sampleTrajectories[0]!)
  fresh.trajectory({ ...sampleTrajectories[0]!, id: 'next', step: 3 })
  expect(() => fresh.trajectory(sampleTrajectories[1]!)).toThrow(/was not written before it .* step 2\. Write a step's/)
  fresh.close()
  writeFileSync(`${path}.3`, 'not msgpack at all')
  expect(() => TrajectoryWriter.open(`${path}.3`)).toThrow(/not a trajectory file/)
  expect(() => TrajectoryWriter.open(`${path}.3`, { truncateTo: 0 })).toThrow(/not a trajectory file/)
  expect(statSync(`${path}.3`).size).toBe(18)
})

test('checkTrajectory: names the broken invariant', () => {
  const t = sampleTrajectories[0]!
  expect(() => checkTrajectory(t)).not.toThrow()
  const broken: [Partial<Trajectory>, RegExp][] = [
    [{ logprobs: t.logprobs.map((x, i) => (i === 5 ? Number.NaN : x)) }, /finite log-probability/],
    [
      { trainable: t.trainable.map((x, i) => (i === 10 ? 1 : x)) },
      /token 10 of a observe segment must not be trainable/,
    ],
    [{ segments: t.segments.slice(0, 4) }, /segments must end at token 14/],
    [{ entropies: new Float32Array(3) }, /entropies must have 14/],
    [{ images: [{ sha256: sampleSha256, tokenStart: 1, tokenCount: 3 }] }, /repeat one pad token/],
    [{ reward: Number.NaN }, /reward must be finite/],
    [{ step: 1.5 }, /step must be a whole number from 0, got 1\.5/],
    [{ tokens: t.tokens.map((x, i) => (i === 4 ? -1 : x)) }, /token 4 must be an id from 0/],
    [{ trainable: t.trainable.map((x, i) => (i === 0 ? 2 : x)) }, /token 0 of a prompt segment must not be trainable/],
  ]
  for (const [change, message] of broken) expect(() => checkTrajectory({ ...t, ...change })).toThrow(message)
  expect(promptTokenCount(t)).toBe(4)
  expect(usesTool(t)).toBe(true)
})

test('any floats and ids survive a round trip to the bit', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          id: fc.integer({ min: 0, max: 151935 }),
          lp: fc.float({ max: 0, noNaN: true, noDefaultInfinity: true }),
        }),
        { maxLength: 50 },
      ),
      fc.string(),
      (tokens, text) => {
        const n = tokens.length
        const t: Trajectory = {
          ...sampleTrajectories[0]!,
          answer: text,
          tokens: Int32Array.from(tokens, (x) => x.id),
          logprobs: Float32Array.from(tokens, (x) => x.lp),
          entropies: new Float32Array(n),
          trainable: new Uint8Array(n).fill(1),
          segments: [{ kind: 'failure', start: 0, end: n, weightVersion: 0 }],
          images: [],
        }
        const header = encodeRecord({ kind: 'header', meta: {} })
        const body = encodeRecord({ kind: 'trajectory', trajectory: t })
        const bytes = new Uint8Array([...header, ...body])
        const [, record] = [...decodeRecords(bytes, 'x')]
        expect(record).toMatchObject({ kind: 'trajectory', trajectory: t })
      },
    ),
  )
})
