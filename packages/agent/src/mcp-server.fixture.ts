/** A toy MCP server for the tests: `node mcp-server.fixture.ts [mute|quit]`. Its tools behave well and badly. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { encode } from 'fast-png'
import * as jpeg from 'jpeg-js'
import * as z from 'zod'

const mode = process.argv[2]
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
const picture = (data: Uint8Array, mimeType: string) => ({
  type: 'image' as const,
  data: Buffer.from(data).toString('base64'),
  mimeType,
})
const red = new Uint8Array(4 * 2 * 3).map((_, i) => (i % 3 === 0 ? 255 : 0))
const png = picture(encode({ width: 4, height: 2, channels: 3, data: red }), 'image/png')
const rgba = new Uint8Array(4 * 2 * 4).map((_, i) => (i % 4 === 0 || i % 4 === 3 ? 255 : 0))

if (mode === 'quit') {
  process.stderr.write('no licence key\n')
  process.exit(3)
}
if (mode === 'mute') {
  process.stdin.resume()
} else {
  const server = new McpServer({ name: 'toy', version: '1.0.0' })
  const pair = { a: z.number().int(), b: z.number().int() }
  server.registerTool('add', { description: 'Adds two integers.', inputSchema: pair }, ({ a, b }) =>
    text(String(a + b)),
  )
  server.registerTool('throws', {}, () => {
    throw new Error('the shelf is empty')
  })
  server.registerTool('refuses', {}, () => ({ ...text('not today'), isError: true }))
  server.registerTool('hangs', {}, () => new Promise<never>(() => {}))
  server.registerTool('dies', {}, () => process.exit(1))
  server.registerTool('chatters', {}, () => {
    process.stdout.write('debug: here I am\n{"jsonrpc": "2.0"}\n\u0000\u0001\n')
    return text('and yet it answers')
  })
  server.registerTool('floods', {}, () => {
    process.stdout.write('x'.repeat(12 * 2 ** 20))
    return text('never read')
  })
  server.registerTool('png', {}, () => ({ content: [{ type: 'text', text: 'a flag' }, png] }))
  server.registerTool('jpeg', {}, () => ({
    content: [picture(jpeg.encode({ width: 4, height: 2, data: rgba }, 100).data, 'image/jpeg'), png],
  }))
  server.registerTool('webp', {}, () => ({ content: [picture(Buffer.from('RIFFxxxxWEBP'), 'image/webp')] }))
  server.registerTool('broken', {}, () => ({
    content: [picture(encode({ width: 4, height: 2, channels: 3, data: red }).subarray(0, 40), 'image/png')],
  }))
  server.registerTool('long', {}, () => text('y'.repeat(5000)))
  server.registerTool('linked', {}, () => ({
    content: [
      { type: 'resource_link', uri: 'file:///notes.txt', name: 'notes' },
      { type: 'resource', resource: { uri: 'file:///a.txt', text: 'the text of a' } },
    ],
  }))
  const folder = { environment: z.record(z.string(), z.string()) }
  server.registerTool('where', { outputSchema: folder }, () => ({
    ...text(''),
    content: [],
    structuredContent: { environment: { TOY: process.env.TOY ?? '', SECRET: process.env.AXPO_TEST_SECRET ?? '' } },
  }))
  await server.connect(new StdioServerTransport())
}
