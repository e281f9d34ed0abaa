/**
 * `python`: real CPython (Pyodide), each interpreter in its own closed process. Stateless: a call starts from a fresh namespace in an interpreter that no earlier call can have changed.
 *
 * How calls are kept apart, and why so. A new interpreter for each call would be safe but costs 0.7 s of CPU even from a memory snapshot; one interpreter for all, with a fresh
 * dictionary for each call, takes thousands of calls a second but a call may patch `math.sqrt` for the next. So: code that provably cannot change anything but its own names (an allow
 * list of syntax, builtins, attributes and modules, checked on the parsed code before it runs: python-harness.ts) shares an interpreter; anything else gets one to itself that is
 * killed afterwards, while a spare stands ready. `12*34%13%4` and what models mostly write (loops, functions, `math`) is of the first kind.
 *
 * How the host is kept safe: python-process.ts. Not here: figures, installed packages (the interpreter has the standard library only), state across the calls of an episode.
 */
import { type PoolOptions, PythonPool } from './python-pool.ts'
import type { PythonReply } from './python-process.ts'
import type { Tool, ToolResult } from './tool.ts'

export interface PythonOptions extends PoolOptions {
  /** Wall-clock limit of one call; time in the queue does not count. */
  readonly timeoutMs: number
  /** Interpreters side by side, about 200 MB each; two, so that one stands ready while the other restarts. */
  readonly interpreters: number
  /** Observations longer than this keep their head and their tail. */
  readonly characters: number
  /** Python's heap; more is a MemoryError. */
  readonly memoryMiB: number
  /** Where the memory of a started Python is kept, about 20 MB, so that later processes start in a second instead of five; null: nowhere. */
  readonly snapshotFolder: string | null
}

export const defaultPythonOptions: PythonOptions = {
  timeoutMs: 5000,
  interpreters: 2,
  characters: 1024,
  memoryMiB: 256,
  snapshotFolder: null,
}

export interface PythonTool extends Tool {
  /** Starts the interpreters ahead of the first call: several seconds of CPU for the first one of this process, under one for each other. Throws when Pyodide cannot be started. */
  warm(): Promise<void>
  /** Kills the interpreters; calls that run or wait fail. */
  dispose(): void
}

/** stdout, then `=> repr` of the last expression, then the last line of a traceback; cut in the middle. */
export function renderPython(reply: Pick<PythonReply, 'stdout' | 'value' | 'error'>, characters: number): string {
  const value = reply.value === null ? '' : `=> ${reply.value}`
  const parts = [reply.stdout.replace(/\n+$/, ''), value, reply.error ?? ''].filter((p) => p !== '')
  const text = parts.length === 0 ? '(no output)' : parts.join('\n')
  if (text.length <= characters) return text
  const half = Math.floor((characters - 5) / 2)
  return `${text.slice(0, half)}\n...\n${text.slice(-half)}`
}

const spec: Tool['spec'] = {
  type: 'function',
  function: {
    name: 'python',
    description:
      'Run Python code. Returns what it prints and the value of its last expression. Each call starts afresh.',
    parameters: {
      type: 'object',
      properties: { code: { type: 'string' } },
      required: ['code'],
      additionalProperties: false,
    },
  },
}

function checkOptions(options: PythonOptions): void {
  const least = { timeoutMs: 1, interpreters: 1, characters: 16, memoryMiB: 64 }
  for (const [name, low] of Object.entries(least) as [keyof typeof least, number][])
    if (!Number.isInteger(options[name]) || options[name] < low)
      throw new Error(`createPythonTool: ${name} must be an integer of at least ${low}, got ${options[name]}.`)
}

/** Starts nothing before the first call or `warm`. */
export function createPythonTool(given: Partial<PythonOptions> = {}): PythonTool {
  const options = { ...defaultPythonOptions, ...given }
  checkOptions(options)
  const pool = new PythonPool(options)
  const run = async (code: string): Promise<ToolResult> => {
    const result = await pool.run(code)
    if (result.kind === 'timeout') return { status: 'timeout', text: '' }
    if (result.kind === 'broken') return { status: 'failed', text: result.message }
    return { status: 'ok', text: renderPython(result.reply, options.characters), image: null }
  }
  return {
    spec,
    timeoutMs: options.timeoutMs,
    run: (args) => run(args.code as string),
    warm: () => pool.warm(),
    dispose: () => pool.dispose(),
  }
}
