import { expect, test } from 'vitest'
import {
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
  hashKey,
  loadQuestion,
  residue,
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

test('generator is pure: pinned hash of specs and pixels', () => {
  const digest = families.map((family) => {
    const question = loadQuestion(family, 'train', 7, 0.5)
    return hashKey(0, JSON.stringify(question.spec), question.images[0]!.data.join())
  })
  expect(digest).toEqual(pinned)
})
const pinned = [1168798731, 1338075665, 1985322862]

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
  for (const s of [0, 0.5, 1]) {
    const questions = families.flatMap((f) => range(200).map((i) => loadQuestion(f, 'test', i, s)))
    const score = (withTools: boolean) =>
      questions.filter((q) => grade(q, solve(q, withTools)) === 1).length / questions.length
    expect(score(true)).toBe(1)
    const expected = s + (1 - s) / 4
    expect(Math.abs(score(false) - expected)).toBeLessThanOrEqual(
      4 * Math.sqrt((expected * (1 - expected)) / questions.length) + 0.04,
    )
  }
})

test('a wrong zoom or search call never reads the answer; a right call always does; python wrong about a quarter', () => {
  let pythonRight = 0
  for (const family of families) {
    for (const i of range(150)) {
      const question = loadQuestion(family, 'train', i, 0)
      const random = createRandom('test', i)
      expect(demonstrateCall(question, true, random).reading).toBe(question.gold)
      const wrong = demonstrateCall(question, false, random)
      if (family === 'python') pythonRight += wrong.reading === question.gold ? 1 : 0
      else expect(wrong.reading).not.toBe(question.gold)
    }
  }
  expect(pythonRight / 150).toBeLessThan(0.45)
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
