import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  answers,
  calibrationGate,
  cellBox,
  createQuestion,
  createRandom,
  defaultDifficulty,
  demonstrate,
  demonstrateCall,
  demonstrationAt,
  documentsOf,
  drawQuestion,
  families,
  generateSpec,
  grade,
  heldOutFamilies,
  loadQuestion,
  residue,
  type SearchSpec,
  type Spec,
  sftPhases,
  solve,
  splitOf,
  splits,
} from './index.ts'
import { canvasSize, createCanvas, drawHiddenDigit, markerBits } from './raster.ts'

const range = (n: number) => [...Array(n).keys()]

/** 4x box filter: what the model's 32 x 32 view shows. */
function view(canvas: Uint8Array): number[] {
  return range(1024).map((i) => {
    let sum = 0
    for (const j of range(16)) sum += canvas[((i >> 5) * 4 + (j >> 2)) * canvasSize + (i & 31) * 4 + (j & 3)]!
    return sum / 16
  })
}

test('generator is pure: pinned spec and picture of a few items, the same on every machine', () => {
  const pins = [...families, ...heldOutFamilies].flatMap((family) =>
    [7, 1234].map((index) => {
      const question = loadQuestion(family, 'test', index, 0.5)
      const digest = createHash('sha256').update(JSON.stringify(question.spec)).update(question.images[0]!.data)
      return `${question.id} ${digest.digest('hex').slice(0, 16)}`
    }),
  )
  expect(pins).toEqual(pinned)
})
const pinned = [
  'zoom-test-7 2b2598ab95900261',
  'zoom-test-1234 980df06550f578de',
  'python-test-7 6bf32120d9420624',
  'python-test-1234 0f6a03f7d8ca390f',
  'search-test-7 24a918a313280971',
  'search-test-1234 94fa34a053169d0e',
  'image_search-test-7 aefc5b6f822f6827',
  'image_search-test-1234 6810581021c4bbda',
]

test('splits never share an item', () => {
  for (const family of families)
    for (const split of splits) for (const i of range(60)) expect(splitOf(generateSpec(family, split, i))).toBe(split)
})

test('answers are uniform over 0-3 and facts over values (5 standard errors)', () => {
  for (const family of families) {
    const counts = [0, 0, 0, 0]
    for (const i of range(800)) counts[generateSpec(family, 'train', i).answer]!++
    for (const c of counts) expect(Math.abs(c / 800 - 0.25)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / 800))
  }
})

test('no leak: the view of a hidden digit is flat to within rounding, for every digit and place', () => {
  for (const digit of range(10)) {
    const canvas = createCanvas()
    drawHiddenDigit(canvas, digit, 12, 20)
    expect(new Set(canvas).size).toBeGreaterThan(1)
    for (const v of view(canvas)) expect(Math.abs(v - 96)).toBeLessThan(0.5)
  }
})

test('no leak: two zoom items that differ only in the hidden digits have views that differ less than the noise', () => {
  const spec = generateSpec('zoom', 'train', 3)
  if (spec.family !== 'zoom') throw new Error('wrong family')
  const other: Spec = { ...spec, cells: spec.cells.map((c) => ({ ...c, digit: (c.digit + 1) % 4 })) }
  const [a, b] = [view(drawQuestion(spec, false)), view(drawQuestion(other, false))]
  const noiseOfView = (0.05 * 255) / 4
  for (const [i, v] of a.entries()) expect(Math.abs(v - b[i]!)).toBeLessThan(noiseOfView)
})

test('markers differ in at least 6 of 16 places', () => {
  for (const [i, a] of markerBits.entries())
    for (const b of markerBits.slice(i + 1))
      expect([...(a ^ b).toString(2)].filter((bit) => bit === '1').length).toBeGreaterThanOrEqual(6)
})

test('oracle: 1.00 with tools, s + (1 - s) / 4 without (4 standard errors)', () => {
  const questions = [...families, ...heldOutFamilies].flatMap((f) =>
    range(200).map((i) => loadQuestion(f, 'test', i, 0)),
  )
  for (const s of [0, 0.2, 0.5, 1]) {
    const items = questions.map((q) => ({ ...q, easy: q.spec.easyDraw < s }))
    const score = (withTools: boolean) =>
      items.filter((q) => grade(q, solve(q, withTools)) === 1).length / questions.length
    expect(score(true)).toBe(1)
    const expected = s + (1 - s) / 4
    expect(Math.abs(score(false) - expected)).toBeLessThanOrEqual(
      4 * Math.sqrt((expected * (1 - expected)) / questions.length),
    )
  }
})

test('a wrong zoom or search call never reads the answer, a right call always does', () => {
  for (const family of families) {
    for (const i of range(400)) {
      const spec = generateSpec(family, 'train', i)
      const random = createRandom('test', i)
      expect(demonstrateCall({ spec }, true, random).reading).toBe(String(spec.answer))
      if (family !== 'python') expect(demonstrateCall({ spec }, false, random).reading).not.toBe(String(spec.answer))
    }
  }
})

test('python residues: no constant answer is right for more than .30, nor is a misread operand', () => {
  const specs = range(4000).map((i) => generateSpec('python', 'train', i))
  for (const digit of answers)
    expect(specs.filter((s) => String(s.answer) === digit).length / specs.length).toBeLessThanOrEqual(0.3)
  const lucky = specs.filter(
    (spec, i) => demonstrateCall({ spec }, false, createRandom('misread', i)).reading === String(spec.answer),
  )
  expect(lucky.length / specs.length).toBeLessThanOrEqual(0.3)
})

test('search facts are uniform: entities, attributes, values (5 standard errors); drawn again in every episode', () => {
  const specs = range(1500).map((i) => generateSpec('search', 'train', i) as SearchSpec)
  const uniform = (values: readonly number[], kinds: number) => {
    for (const kind of range(kinds)) {
      const share = values.filter((v) => v === kind).length / values.length
      const error = Math.sqrt(((1 / kinds) * (1 - 1 / kinds)) / values.length)
      expect(Math.abs(share - 1 / kinds)).toBeLessThan(5 * error)
    }
  }
  uniform(
    specs.map((s) => s.attribute),
    8,
  )
  for (const facts of [specs.map((s) => s.facts[0]!), specs.flatMap((s) => s.facts)]) {
    uniform(
      facts.map((f) => f.entity),
      32,
    )
    uniform(
      facts.map((f) => f.value),
      4,
    )
  }
  for (const { facts, attribute } of specs) {
    expect(facts.every((f) => f.attribute === attribute)).toBe(true)
    expect(new Set(facts.map((f) => f.entity)).size).toBe(facts.length)
  }
  // the same pair asked for twice has another value as often as chance says: nothing to memorise
  const byPair = Map.groupBy(specs, (s) => `${s.entity} ${s.attribute}`)
  const repeats = [...byPair.values()].flatMap((group) => group.slice(1).map((s, i) => s.answer === group[i]!.answer))
  expect(Math.abs(repeats.filter(Boolean).length / repeats.length - 0.25)).toBeLessThan(
    5 * Math.sqrt((0.25 * 0.75) / repeats.length),
  )
})

test('a search that names a wrong half of the fact, or one half only, never returns it: another document ties and has an earlier id', () => {
  for (const i of range(300)) {
    const spec = generateSpec('search', 'train', i)
    if (spec.family !== 'search') throw new Error('wrong family')
    const documents = documentsOf(spec)
    const wanted = documents.findIndex((d) => d.title === `e${spec.entity} a${spec.attribute}`)
    expect(documents.filter((d) => d.text === String(spec.answer))).toEqual([documents[wanted]])
    expect(documents.map((d) => d.id)).toEqual(documents.map((d) => d.id).toSorted())
    for (const half of documents[wanted]!.title.split(' '))
      expect(documents.findIndex((d) => d.title.split(' ').includes(half))).toBeLessThan(wanted)
  }
})

test('the right zoom box is the cell of the marker asked for, in 0-1000', () => {
  const spec = generateSpec('zoom', 'train', 11)
  if (spec.family !== 'zoom') throw new Error('wrong family')
  const call = demonstrateCall(createQuestion(spec, 0), true, createRandom('x'))
  expect(call.arguments.bbox_2d).toEqual(cellBox(spec, spec.cells[0]!))
  for (const v of cellBox(spec, spec.cells[0]!)) expect(v % 250).toBe(0)
})

test('python family: residues as Python computes them', () => {
  expect(residue(47, 83)).toBe(((47 * 83) % 13) % 4)
  expect(demonstrateCall(loadQuestion('python', 'train', 0, 0), true, createRandom('x')).arguments.code).toMatch(
    /^\d\d\*\d\d%13%4$/,
  )
})

test('SFT mixture: shares as asked (4 standard errors), the same demonstration every time', () => {
  const question = loadQuestion('zoom', 'train', 5, 0)
  const all = range(1500).map((i) => demonstrationAt(question, sftPhases[2], 1, i))
  const tool = all.filter((d) => d.call)
  expect(Math.abs(tool.length / 1500 - 0.3)).toBeLessThan(4 * Math.sqrt(0.21 / 1500))
  expect(Math.abs(tool.filter((d) => d.call!.right).length / tool.length - 0.3)).toBeLessThan(
    4 * Math.sqrt(0.21 / tool.length),
  )
  expect(demonstrationAt(question, sftPhases[2], 1, 9)).toEqual(all[9])
  expect(demonstrate({ ...question, easy: true }, 'none', createRandom('y')).answer).toBe(question.gold)
})

test('calibration gate: passes inside every band, names the line that is off', () => {
  expect(calibrationGate({ formatRate: 0.99, validCallRate: 0.98, toolUseRate: 0.3, allWrongToolRate: 0.4 }).pass).toBe(
    true,
  )
  const off = calibrationGate({ formatRate: 0.99, validCallRate: 0.98, toolUseRate: 0.4, allWrongToolRate: 0.4 })
  expect(off.lines.filter((l) => !l.pass).map((l) => l.name)).toEqual(['tool-use rate'])
})

test('bad input: unknown family, impossible difficulty, s outside [0, 1]', () => {
  expect(() => generateSpec('chess' as 'zoom', 'train', 0)).toThrow(
    /unknown family "chess"\. Choose one of: zoom, python, search/,
  )
  expect(() => generateSpec('zoom', 'train', 0, { ...defaultDifficulty, filled: 9 })).toThrow(/filled must be .*got 9/)
  expect(() => loadQuestion('zoom', 'train', 0, 1.5)).toThrow(/easyShare must lie in/)
})
