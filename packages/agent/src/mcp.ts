/**
 * Tools of an MCP server (https://modelcontextprotocol.io) that runs as a process and speaks over its stdin and stdout. Entry of its own, `@axpo/agent/mcp`: nothing of the protocol's library
 * is loaded without it. Whatever a server does to a call (an error, silence, its death) is the call's observation. Not here: servers over HTTP, prompts, resources.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { limitTime } from './limit-time.ts'
import { toolResult } from './mcp-content.ts'
import type { Tool, ToolResult } from './tool.ts'

export interface McpOptions {
  /** The server's program and its arguments; no shell in between. */
  readonly command: string
  readonly args?: readonly string[]
  /** Added to the few variables that every server gets (HOME, PATH and the like): the rest of this process's environment is not passed on. */
  readonly env?: Readonly<Record<string, string>>
  /** Folder that the server starts in. */
  readonly directory?: string
  /** Only these of its tools; default: all. */
  readonly tools?: readonly string[]
  /** Put before every name, so that two servers may have a tool of the same name. */
  readonly prefix?: string
  /** Milliseconds a call may take. */
  readonly timeoutMs?: number
  /** Milliseconds until the server must have answered and listed its tools. */
  readonly connectTimeoutMs?: number
  /** Text of an observation is cut after so many characters. */
  readonly characters?: number
}

export interface McpServer {
  readonly tools: readonly Tool[]
  /** Ends the server; calls after it are failed observations. */
  dispose(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const defaults = { timeoutMs: 5000, connectTimeoutMs: 10_000, characters: 2000 } as const
/** Pages of a tool list; a server that never ends its list is refused. */
const maxPages = 100
const stderrCharacters = 1000

type ListedTool = Awaited<ReturnType<Client['listTools']>>['tools'][number]

async function listTools(client: Client, timeout: number): Promise<ListedTool[]> {
  const found: ListedTool[] = []
  let cursor: string | undefined
  for (let page = 0; page < maxPages; page++) {
    const { tools, nextCursor } = await client.listTools(cursor === undefined ? {} : { cursor }, { timeout })
    found.push(...tools)
    if (nextCursor === undefined) return found
    cursor = nextCursor
  }
  throw new Error(`its list of tools must end, got ${maxPages} pages`)
}

/** The tools asked for, in the server's order. */
function chosen(listed: readonly ListedTool[], names: readonly string[] | undefined): readonly ListedTool[] {
  if (!names) return listed
  const missing = names.filter((name) => !listed.some((t) => t.name === name))
  if (missing.length > 0)
    throw new Error(`it has no tool named ${missing.join(', ')}. It has: ${listed.map((t) => t.name).join(', ')}`)
  return listed.filter((t) => names.includes(t.name))
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function adapt(client: Client, listed: ListedTool, options: McpOptions): Tool {
  const { timeoutMs = defaults.timeoutMs, characters = defaults.characters, prefix = '' } = options
  const call = async (args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ToolResult> => {
    try {
      // the limit is kept here, so that a late answer has one wording for every tool
      const options = { signal, timeout: timeoutMs + 1000 }
      return toolResult(
        await client.callTool({ name: listed.name, arguments: { ...args } }, undefined, options),
        characters,
      )
    } catch (error) {
      return { status: 'failed', text: messageOf(error) }
    }
  }
  return {
    spec: {
      type: 'function',
      function: {
        name: `${prefix}${listed.name}`,
        description: listed.description ?? '',
        parameters: { ...listed.inputSchema },
      },
    },
    timeoutMs,
    run: (args, _context, signal) => limitTime(timeoutMs, signal, (s) => call(args, s)),
  }
}

/** The last words of a server's stderr, to be told when it does not start. */
function watchStderr(transport: StdioClientTransport): () => string {
  let last = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    last = (last + chunk.toString('utf8')).slice(-stderrCharacters)
  })
  return () => last.trim()
}

/** Starts the server and asks for its tools. Throws when that fails; afterwards nothing a server does throws. */
export async function connectMcpServer(options: McpOptions): Promise<McpServer> {
  const { command, args = [], env = {}, directory, connectTimeoutMs = defaults.connectTimeoutMs } = options
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: { ...env },
    stderr: 'pipe',
    ...(directory === undefined ? {} : { cwd: directory }),
  })
  const stderr = watchStderr(transport)
  const client = new Client({ name: 'axpo', version: '0.1.0' })
  // lines that are no messages: a server that prints to its stdout; the call it belongs to answers or times out
  client.onerror = () => {}
  try {
    await client.connect(transport, { timeout: connectTimeoutMs })
    const listed = chosen(await listTools(client, connectTimeoutMs), options.tools)
    const dispose = () => client.close()
    return { tools: listed.map((t) => adapt(client, t, options)), dispose, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await client.close()
    const said = stderr()
    const line = [command, ...args].join(' ')
    throw new Error(
      `connectMcpServer: an MCP server must start and list its tools, got ${messageOf(error)} from \`${line}\`. Run the command by hand to see why.${said ? ` It said:\n${said}` : ''}`,
    )
  }
}
