import { expect, expectTypeOf, test } from 'vitest'
import * as z from 'zod'
import { createToolRegistry, defineTool, parseCall, type Tool } from './index.ts'

const image = { width: 2, height: 1, data: new Uint8Array(6) }
const call = (tool: Tool, args: unknown, limitMs = 2000) =>
  createToolRegistry([tool], limitMs).call(
    parseCall(JSON.stringify({ name: tool.spec.function.name, arguments: args })),
    [tool.spec.function.name],
    { images: [image], documents: [{ id: 'd', title: 't', text: 'x' }] },
  )

const dice = z.object({
  count: z.int().min(1).max(9).default(1),
  sides: z.int().refine((n) => n % 2 === 0, 'must be even'),
})
const roll = defineTool({
  name: 'roll',
  description: 'Rolls dice.',
  parameters: dice,
  run: ({ count, sides }) => {
    expectTypeOf(count).toEqualTypeOf<number>()
    return `${count}d${sides}`
  },
})

test('a zod schema gives the model a JSON Schema and the function typed arguments', async () => {
  expect(roll.spec.function.parameters).toEqual({
    type: 'object',
    properties: {
      count: { type: 'integer', minimum: 1, maximum: 9, default: 1 },
      sides: { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
    },
    required: ['sides'],
  })
  // a default is zod's own
  expect(await call(roll, { sides: 6 })).toEqual({ status: 'ok', text: '1d6', image: null })
})

test.each([
  [{}, "/ must have required property 'sides'"],
  [{ sides: '6' }, '/sides must be integer'],
  [{ sides: 6, count: 10 }, '/count must be <= 9'],
  // only zod can say this: no JSON Schema has it
  [{ sides: 7 }, '/sides must be even'],
])('bad arguments %j', async (args, message) => {
  expect(await call(roll, args)).toEqual({
    status: 'bad-arguments',
    text: `Error: bad arguments for roll: ${message}`,
    image: null,
  })
})

const plain = (run: Parameters<typeof defineTool<{ n: number }>>[0]['run'], timeoutMs?: number) =>
  defineTool<{ n: number }>({
    name: 'plain',
    description: '',
    parameters: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { n: { type: 'number', format: 'float' } },
      required: ['n'],
    },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    run,
  })

test('a reply is text, an image, or both', async () => {
  expect(
    await call(
      plain(({ n }) => `${n + 1}`),
      { n: 1 },
    ),
  ).toEqual({ status: 'ok', text: '2', image: null })
  expect(
    await call(
      plain((_, __, { images }) => images[0]!),
      { n: 1 },
    ),
  ).toEqual({ status: 'ok', text: '', image })
  expect(
    await call(
      plain(async () => ({ text: 'see', image })),
      { n: 1 },
    ),
  ).toEqual({ status: 'ok', text: 'see', image })
})

test('what a tool does wrong is an observation', async () => {
  const failed = (text: string) => ({ status: 'failed', text: `Error: plain failed: ${text}`, image: null })
  const thrown = plain(() => {
    throw new Error('no luck')
  })
  expect(await call(thrown, { n: 1 })).toEqual(failed('no luck'))
  expect(
    await call(
      plain(() => Promise.reject('no luck')),
      { n: 1 },
    ),
  ).toEqual(failed('no luck'))
  expect(
    await call(
      plain(() => 3 as unknown as string),
      { n: 1 },
    ),
  ).toEqual(failed('run must return text, an image or { text, image }, got 3'))
  const torn = { ...image, width: 3 }
  expect(
    await call(
      plain(() => torn),
      { n: 1 },
    ),
  ).toEqual(failed('an image must have width * height * 3 bytes of RGB, got 3 x 1 and 6 bytes'))
  const thin = { width: 300, height: 1, data: new Uint8Array(900) }
  expect(
    await call(
      plain(() => thin),
      { n: 1 },
    ),
  ).toEqual(failed("an image's sides must differ by at most 200 times, got 300 x 1"))
})

test.each([
  ["the registry's limit", undefined, 30],
  ['its own limit', 30, 5000],
])('%s aborts the signal and makes a time-out', async (_, own, registryMs) => {
  let aborted = false
  const slow = plain((_args, signal) => {
    const { promise, reject } = Promise.withResolvers<string>()
    signal.addEventListener('abort', () => {
      aborted = true
      reject(new Error('I stop'))
    })
    return promise
  }, own)
  const limits = { status: 'timeout', text: 'Error: plain timed out after 0.03 s', image: null }
  expect(await call(slow, { n: 1 }, registryMs)).toEqual(limits)
  expect(aborted).toBe(true)
  const deaf = plain(() => new Promise<string>(() => {}), own)
  expect(await call(deaf, { n: 1 }, registryMs)).toEqual(limits)
})

test('a definition that cannot work says so', () => {
  expect(() => defineTool({ name: 'two words', description: '', parameters: {}, run: () => '' })).toThrow(
    'defineTool: name must be 1 to 64 letters, digits, _, - or ., got "two words". Rename it.',
  )
  const bad = defineTool({ name: 'bad', description: '', parameters: { type: 'strin' }, run: () => '' })
  expect(() => createToolRegistry([bad])).toThrow(
    /parameters of bad must be a JSON Schema, got one that does not compile/,
  )
})
