import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  canonicalJson,
  createSearchTool,
  createZoomTool,
  defaultZoomOptions,
  parseCall,
  parseTurn,
  pixelBox,
  rankDocuments,
} from './index.ts'

const signal = new AbortController().signal
const gradient = {
  width: 128,
  height: 128,
  data: Uint8Array.from({ length: 128 * 128 * 3 }, (_, i) => Math.floor(i / 3) % 251),
}

describe('hermes', () => {
  // one token a character, tags as numbers
  const tags = ['</think>', '<tool_call>', '</tool_call>', '<|im_end|>']
  const tokens = { thinkEnd: 1000, callStart: 1001, callEnd: 1002, turnEnd: 1003 }
  const encode = (text: string) =>
    text
      .split(/(<\/think>|<tool_call>|<\/tool_call>|<\|im_end\|>)/)
      .flatMap((p) => (tags.includes(p) ? [1000 + tags.indexOf(p)] : [...p].map((c) => c.charCodeAt(0))))
  const decode = (ids: number[]) => ids.map((i) => (i >= 1000 ? tags[i - 1000]! : String.fromCharCode(i))).join('')
  const parse = (text: string) => parseTurn(encode(text), tokens, decode)

  test('a call after the thought; a tag inside the thought is no boundary', () => {
    const text =
      'use <tool_call> now\n</think>\n\n<tool_call>\n{"name": "python", "arguments": {"code": "1+1"}}\n</tool_call>'
    const turn = parse(text)
    if (turn.kind !== 'call') throw new Error(turn.kind)
    expect(encode(text)[turn.callStart]).toBe(tokens.callStart)
    expect(turn.callStart).toBe(encode('use <tool_call> now\n</think>\n\n').length)
    expect(turn.callEnd).toBe(encode(text).length)
    expect(turn.call).toEqual({ ok: true, name: 'python', arguments: { code: '1+1' }, argumentsJson: '{"code":"1+1"}' })
  })

  test('answers and failures', () => {
    expect(parse('so\n</think>\n\n2<|im_end|>')).toMatchObject({ kind: 'answer', answer: '2' })
    expect(parse('endless')).toEqual({ kind: 'failure', reason: 'no </think>' })
    expect(parse('a</think><tool_call>{"na')).toEqual({ kind: 'failure', reason: 'open call' })
    expect(parse('a</think>2')).toEqual({ kind: 'failure', reason: 'no end of turn' })
  })

  test('malformed calls are values that say what is wrong', () => {
    for (const [text, message] of [
      ['{"name": 3}', /name must be a string/],
      ['[1]', /expected an object/],
      ['{"name": "x", "arguments": []}', /arguments must be an object/],
      ["{'name'}", /JSON/],
      ['', /JSON/],
      ['"search"', /expected an object/],
      ['{"arguments": {}}', /name must be a string/],
      ['{"name": "x", "arguments": "{}"}', /arguments must be an object/],
      ['{"name": "x"} {"name": "y"}', /JSON/],
      [`{"name": "x", "arguments": {"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}}`, /nested too deeply/],
    ] as const) {
      const call = parseCall(text)
      expect(call.ok ? '' : call.message).toMatch(message)
    }
  })

  test('a call without arguments is a call with none; unknown keys beside name and arguments are not read', () => {
    const call = { ok: true, name: 'x', arguments: {}, argumentsJson: '{}' }
    expect(parseCall('{"name": "x"}')).toEqual(call)
    expect(parseCall('{"name": "x", "arguments": null, "id": 3}')).toEqual(call)
  })

  test('property: any tokens parse; a call starts at the first <tool_call> after the first </think>, before any end of turn', () => {
    const token = fc.oneof(fc.constantFrom(1000, 1001, 1002, 1003), fc.integer({ min: 32, max: 126 }))
    const pieces = fc.constantFrom(
      '{"name": "x", "arguments": {}}',
      '{',
      '</think>',
      '<tool_call>',
      '</tool_call>',
      'a',
    )
    const turns = fc.oneof(
      fc.array(token, { maxLength: 40 }),
      fc.array(pieces).map((p) => encode(p.join(''))),
    )
    fc.assert(
      fc.property(turns, (ids) => {
        const turn = parseTurn(ids, tokens, decode)
        const thinkEnd = ids.indexOf(tokens.thinkEnd)
        const after = (id: number) => (thinkEnd < 0 ? -1 : ids.indexOf(id, thinkEnd + 1))
        const opens =
          after(tokens.callStart) >= 0 &&
          !(after(tokens.turnEnd) >= 0 && after(tokens.turnEnd) < after(tokens.callStart))
        expect(turn.kind === 'call' || (turn.kind === 'failure' && turn.reason === 'open call')).toBe(opens)
        expect(turn.kind === 'failure' && turn.reason === 'no </think>').toBe(thinkEnd < 0)
        if (turn.kind === 'call') {
          expect(turn.callStart).toBe(after(tokens.callStart))
          expect(ids[turn.callEnd - 1]).toBe(tokens.callEnd)
          expect(ids.slice(turn.callStart, turn.callEnd - 1)).not.toContain(tokens.callEnd)
        }
        if (turn.kind === 'answer')
          expect(turn.answer).toBe(decode(ids.slice(turn.answerStart, after(tokens.turnEnd))).trim())
      }),
      { numRuns: 2000 },
    )
  })

  test('property: canonical JSON ignores the order of keys, and parses back', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(value))
        expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(value))
      }),
    )
  })
})

describe('zoom', () => {
  test('a 250-unit cell of a 128 px original is its 32 x 32 pixels', async () => {
    const result = await createZoomTool().run(
      { bbox_2d: [250, 500, 500, 750], label: '', img_idx: 0 },
      { images: [gradient], documents: [] },
      signal,
    )
    if (result.status !== 'ok' || !result.image) throw new Error('no image')
    expect([result.image.width, result.image.height]).toEqual([32, 32])
    expect([...result.image.data.subarray(0, 3)]).toEqual([
      ...gradient.data.subarray((64 * 128 + 32) * 3, (64 * 128 + 32) * 3 + 3),
    ])
  })

  test('property: any four numbers give an error text or a crop inside the image with sides at least the minimum', () => {
    const side = fc.integer({ min: 40, max: 3000 })
    fc.assert(
      fc.property(
        fc.tuple(fc.double(), fc.double(), fc.double(), fc.double()),
        fc.tuple(
          fc.integer({ min: -50, max: 1100 }),
          fc.integer({ min: -50, max: 1100 }),
          fc.integer({ min: -50, max: 1100 }),
          fc.integer({ min: -50, max: 1100 }),
        ),
        side,
        side,
        fc.boolean(),
        (wild, tame, width, height, useWild) => {
          const box = pixelBox(useWild ? wild : tame, { width, height })
          if (typeof box === 'string') return
          expect(Math.min(box.left, box.top)).toBeGreaterThanOrEqual(0)
          expect(box.right).toBeLessThanOrEqual(width)
          expect(box.bottom).toBeLessThanOrEqual(height)
          expect(box.right - box.left).toBeGreaterThanOrEqual(defaultZoomOptions.minSide)
          expect(box.bottom - box.top).toBeGreaterThanOrEqual(defaultZoomOptions.minSide)
          for (const v of Object.values(box)) expect(Number.isInteger(v)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('errors name the rule', async () => {
    const run = async (bbox: number[], index = 0) =>
      (
        await createZoomTool().run(
          { bbox_2d: bbox, label: '', img_idx: index },
          { images: [gradient], documents: [] },
          signal,
        )
      ).text
    expect(await run([500, 0, 250, 250])).toMatch(/left < right/)
    expect(await run([Number.NaN, 0, 1, 1])).toMatch(/four finite numbers/)
    expect(await run([0, 0, 10, 10], 3)).toMatch(/img_idx must be 0 to 0, got 3/)
    expect(pixelBox([0, 0, 1000, 1], { width: 4000, height: 100 })).toMatch(/factor of 200/)
  })
})

describe('search', () => {
  const documents = [
    { id: 'd2', title: 'e12 a3', text: '2' },
    { id: 'd1', title: 'e12 a4', text: '0' },
    { id: 'd0', title: 'e7 a3', text: '1' },
  ]

  test('the document that holds both terms comes first; ties by id; no hit says so', async () => {
    expect(rankDocuments('e12 a3', documents, 3)[0]!.id).toBe('d2')
    expect(rankDocuments('e12', documents, 3).map((d) => d.id)).toEqual(['d1', 'd2'])
    const run = async (query: string) =>
      (await createSearchTool().run({ query }, { images: [], documents }, signal)).text
    expect(await run('e12 a3')).toBe('[1] e12 a3 — 2')
    expect(await run('nothing here')).toBe('No search results found.')
  })

  test('scores are BM25: a rare term outweighs a common one', () => {
    const many = Array.from({ length: 10 }, (_, i) => ({
      id: `c${i}`,
      title: 'common word',
      text: i === 9 ? 'rare' : 'word',
    }))
    expect(rankDocuments('common rare', many, 1)[0]!.id).toBe('c9')
  })
})
