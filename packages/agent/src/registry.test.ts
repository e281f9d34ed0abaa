import { expect, test, vi } from 'vitest'
import { createToolRegistry, parseCall, type Tool, type ToolResult } from './index.ts'

const context = { images: [], documents: [] }
const create = (name: string, run: Tool['run'], more: Partial<Tool> = {}): Tool => ({
  spec: {
    type: 'function',
    function: {
      name,
      description: '',
      parameters: {
        type: 'object',
        properties: { n: { type: 'integer' } },
        required: ['n'],
        additionalProperties: false,
      },
    },
  },
  run,
  ...more,
})
const never = () => new Promise<ToolResult>(() => {})
const tools = [
  create('fine', async () => ({ status: 'ok', text: 'yes', image: null })),
  create('slow', never),
  create('own', async () => ({ status: 'timeout', text: '' }), { timeoutMs: 5000 }),
  create('says', async () => ({ status: 'failed', text: 'no room' })),
  create('rejects', () => Promise.reject(new Error('no luck'))),
  create('throws', () => {
    throw new TypeError('at once')
  }),
  create('words', () => Promise.reject('only words')),
  create('nothing', async () => undefined as unknown as ToolResult),
]
const names = tools.map((t) => t.spec.function.name)
const registry = createToolRegistry(tools, 40)
const call = async (text: string, allowed: readonly string[] = names) =>
  registry.call(parseCall(text), allowed, context)
const on = (name: string, args = '{"n": 1}') => `{"name": "${name}", "arguments": ${args}}`

const outcomes: [string, string, string][] = [
  [on('fine'), 'ok', 'yes'],
  [
    '{"name": "fine"',
    'invalid-json',
    "Error: invalid JSON in tool_call: Expected ',' or '}' after property value in JSON at position 15 (line 1 column 16)",
  ],
  ['', 'invalid-json', 'Error: invalid JSON in tool_call: Unexpected end of JSON input'],
  ['3', 'invalid-json', 'Error: invalid JSON in tool_call: expected an object with name and arguments'],
  ['{"arguments": {}}', 'invalid-json', 'Error: invalid JSON in tool_call: name must be a string'],
  [on('fine', '[]'), 'invalid-json', 'Error: invalid JSON in tool_call: arguments must be an object'],
  [on('fly'), 'unknown-tool', `Error: unknown tool "fly". Available: ${names.join(', ')}`],
  [on('constructor'), 'unknown-tool', `Error: unknown tool "constructor". Available: ${names.join(', ')}`],
  [on('fine', '{}'), 'bad-arguments', "Error: bad arguments for fine: / must have required property 'n'"],
  [on('fine', '{"n": "1"}'), 'bad-arguments', 'Error: bad arguments for fine: /n must be integer'],
  [
    on('fine', '{"n": 1, "__proto__": 1}'),
    'bad-arguments',
    'Error: bad arguments for fine: / must NOT have additional properties',
  ],
  [on('slow'), 'timeout', 'Error: slow timed out after 0.04 s'],
  [on('own'), 'timeout', 'Error: own timed out after 5 s'],
  [on('says'), 'failed', 'Error: says failed: no room'],
  [on('rejects'), 'failed', 'Error: rejects failed: no luck'],
  [on('throws'), 'failed', 'Error: throws failed: at once'],
  [on('words'), 'failed', 'Error: words failed: only words'],
]
test.each(outcomes)('%s', async (text, status, observation) => {
  expect(await call(text)).toEqual({ status, text: observation, image: null })
})

test('a tool that breaks its contract has failed', async () => {
  expect(await call(on('nothing'))).toMatchObject({
    status: 'failed',
    text: expect.stringMatching(/^Error: nothing failed: /),
  })
})

test('a tool that this episode is not offered is unknown', async () => {
  expect(await call(on('fine'), ['says'])).toMatchObject({
    status: 'unknown-tool',
    text: 'Error: unknown tool "fine". Available: says',
  })
})

test("a late tool is told, and what it says afterwards is nobody's", async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  let told: AbortSignal | undefined
  const late = create('late', async (_, __, signal) => {
    told = signal
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw new Error('too late')
  })
  const outcome = await createToolRegistry([late], 20).call(parseCall(on('late')), ['late'], context)
  expect([outcome.status, told?.aborted]).toEqual(['timeout', true])
  await new Promise((resolve) => setTimeout(resolve, 10))
  process.off('unhandledRejection', unhandled)
  expect(unhandled).not.toHaveBeenCalled()
})

test('broken invariants throw: two tools of one name, a spec nobody has', () => {
  expect(() => createToolRegistry([tools[0]!, tools[0]!])).toThrow('two tools are named fine')
  expect(() => registry.specs(['fly'])).toThrow(`no tool named fly. Known: ${names.join(', ')}.`)
  expect(registry.specs(['says', 'fine']).map((s) => s.function.name)).toEqual(['says', 'fine'])
})
