import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createToolRegistry, parseCall, type ToolRegistry } from './index.ts'
import { connectMcpServer, type McpOptions, type McpServer } from './mcp.ts'

const script = fileURLToPath(new URL('./mcp-server.fixture.ts', import.meta.url))
const start = (more: Partial<McpOptions> = {}, ...modes: string[]) =>
  connectMcpServer({ command: process.execPath, args: [script, ...modes], connectTimeoutMs: 30_000, ...more })

let server: McpServer
let registry: ToolRegistry
beforeAll(async () => {
  process.env.AXPO_TEST_SECRET = 'hidden'
  server = await start({ env: { TOY: 'a toy' }, timeoutMs: 3000 })
  registry = createToolRegistry(server.tools)
})
afterAll(() => server.dispose())

const call = (name: string, args = '{}', from = registry) =>
  from.call(parseCall(`{"name": "${name}", "arguments": ${args}}`), [name], { images: [], documents: [] })

test("a server's tools have its names, descriptions and schemas", () => {
  expect(server.tools[0]!.spec).toMatchObject({
    type: 'function',
    function: {
      name: 'add',
      description: 'Adds two integers.',
      parameters: { properties: { a: { type: 'integer' } }, required: ['a', 'b'] },
    },
  })
  expect(server.tools.length).toBe(14)
})

test.each([
  ['add', '{"a": 2, "b": 40}', 'ok', '42'],
  ['add', '{"a": 2}', 'bad-arguments', "Error: bad arguments for add: / must have required property 'b'"],
  ['throws', '{}', 'failed', 'Error: throws failed: the shelf is empty'],
  ['refuses', '{}', 'failed', 'Error: refuses failed: not today'],
  ['chatters', '{}', 'ok', 'and yet it answers'],
  ['linked', '{}', 'ok', '[link to file:///notes.txt]\nthe text of a'],
  // the environment of the caller stays its own
  ['where', '{}', 'ok', '{"environment":{"TOY":"a toy","SECRET":""}}'],
  ['long', '{}', 'ok', `${'y'.repeat(2000)}… (3000 more characters)`],
  [
    'webp',
    '{}',
    'failed',
    'Error: webp failed: decodeImage: an image must be PNG or JPEG, got 12 bytes that begin with 52 49 46 46. Convert it.',
  ],
])('%s(%s): %s', async (name, args, status, text) => {
  expect(await call(name, args)).toEqual({ status, text, image: null })
})

test('images are decoded, the first of several is shown', async () => {
  const data = new Uint8Array(24).map((_, i) => (i % 3 === 0 ? 255 : 0))
  expect(await call('png')).toEqual({ status: 'ok', text: 'a flag', image: { width: 4, height: 2, data } })
  const { text, image } = await call('jpeg')
  expect(text).toBe('(the first of 2 images)')
  expect([image!.width, image!.height, image!.data.length]).toEqual([4, 2, 24])
  // lossy, but red
  for (const [i, v] of image!.data.entries()) expect(Math.abs(v - data[i]!)).toBeLessThan(12)
})

test('a broken image is a failed call', async () => {
  const { status, text } = await call('broken')
  expect(status).toBe('failed')
  expect(text).toMatch(/^Error: broken failed: /)
})

test('a call without an answer is a time-out, and the next call goes on', async () => {
  const short = await start({ timeoutMs: 300, tools: ['hangs', 'add'], prefix: 'toy.' })
  try {
    expect(short.tools.map((t) => t.spec.function.name)).toEqual(['toy.add', 'toy.hangs'])
    const tools = createToolRegistry(short.tools)
    expect(await call('toy.hangs', '{}', tools)).toEqual({
      status: 'timeout',
      text: 'Error: toy.hangs timed out after 0.3 s',
      image: null,
    })
    expect((await call('toy.add', '{"a": 1, "b": 1}', tools)).text).toBe('2')
  } finally {
    await short.dispose()
  }
})

test.each(['dies', 'floods'])(
  'a server that %s fails this call and the later ones; dispose still works',
  async (how) => {
    const mortal = await start()
    const tools = createToolRegistry(mortal.tools)
    const [first, beside] = await Promise.all([call(how, '{}', tools), call('hangs', '{}', tools)])
    if (how === 'dies') expect(first.text).toBe('Error: dies failed: MCP error -32000: Connection closed')
    // a flood is cut off at 10 MiB; the server gets some seconds to end by itself
    expect(['failed', 'timeout']).toContain(first.status)
    expect(['failed', 'timeout']).toContain(beside.status)
    expect(await call('add', '{"a": 1, "b": 1}', tools)).toMatchObject({
      status: 'failed',
      text: 'Error: add failed: Not connected',
    })
    await mortal.dispose()
    await mortal.dispose()
  },
)

test('what does not start says why', async () => {
  await expect(start({}, 'quit')).rejects.toThrow(
    /^connectMcpServer: an MCP server must start and list its tools, got MCP error -32000: Connection closed from `.*quit`. Run the command by hand to see why. It said:\nno licence key$/,
  )
  await expect(start({ connectTimeoutMs: 500 }, 'mute')).rejects.toThrow(/Request timed out/)
  await expect(connectMcpServer({ command: 'no-such-program-here' })).rejects.toThrow(/ENOENT/)
  await expect(start({ tools: ['fly'] })).rejects.toThrow(/it has no tool named fly. It has: add, throws/)
})
