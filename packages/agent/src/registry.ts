/** The tools of a run: validates arguments against their JSON Schemas, runs with a time limit, and words what went wrong the same way every time. */

import type { ToolStatus } from '@axpo/trajectory'
import { Ajv, type ValidateFunction } from 'ajv'
import type { ParsedCall } from './hermes.ts'
import type { RawImage, Tool, ToolContext, ToolSpec } from './tool.ts'

export interface CallOutcome {
  readonly status: ToolStatus
  /** What the model sees; errors start with "Error: ". */
  readonly text: string
  readonly image: RawImage | null
}

export interface ToolRegistry {
  specs(names: readonly string[]): ToolSpec[]
  /** Never throws for what a model wrote or a tool did. `allowed`: the tools offered to this episode. */
  call(call: ParsedCall, allowed: readonly string[], context: ToolContext): Promise<CallOutcome>
}

const failure = (status: ToolStatus, text: string): CallOutcome => ({ status, text: `Error: ${text}`, image: null })

/** A tool that keeps no time limit itself may take `timeoutMs`; then its signal is aborted and the call is a time-out. */
export function createToolRegistry(tools: readonly Tool[], timeoutMs = 5000): ToolRegistry {
  const ajv = new Ajv({ strict: false })
  const byName = new Map<string, { readonly tool: Tool; readonly validate: ValidateFunction }>()
  for (const tool of tools) {
    const { name, parameters } = tool.spec.function
    if (byName.has(name)) throw new Error(`createToolRegistry: two tools are named ${name}.`)
    byName.set(name, { tool, validate: ajv.compile(parameters) })
  }
  const entry = (name: string) => {
    const found = byName.get(name)
    if (!found) throw new Error(`tools: no tool named ${name}. Known: ${[...byName.keys()].join(', ')}.`)
    return found
  }
  return {
    specs: (names) => names.map((name) => entry(name).tool.spec),
    async call(call, allowed, context) {
      if (!call.ok) return failure('invalid-json', `invalid JSON in tool_call: ${call.message}`)
      if (!allowed.includes(call.name) || !byName.has(call.name))
        return failure('unknown-tool', `unknown tool "${call.name}". Available: ${allowed.join(', ')}`)
      const { tool, validate } = entry(call.name)
      if (!validate(call.arguments)) {
        const error = validate.errors![0]!
        return failure('bad-arguments', `bad arguments for ${call.name}: ${error.instancePath || '/'} ${error.message}`)
      }
      return runLimited(tool, call.arguments, context, timeoutMs)
    },
  }
}

async function runLimited(
  tool: Tool,
  args: Readonly<Record<string, unknown>>,
  context: ToolContext,
  timeoutMs: number,
): Promise<CallOutcome> {
  const { name } = tool.spec.function
  const controller = new AbortController()
  const late = failure('timeout', `${name} timed out after ${(tool.timeoutMs ?? timeoutMs) / 1000} s`)
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<CallOutcome>((resolve) => {
    if (tool.timeoutMs !== undefined) return
    timer = setTimeout(() => {
      controller.abort()
      resolve(late)
    }, timeoutMs)
  })
  try {
    const run = tool.run(args, context, controller.signal).then((result): CallOutcome => {
      if (result.status === 'ok') return { status: 'ok', text: result.text, image: result.image }
      return result.status === 'timeout' ? late : failure('failed', `${name} failed: ${result.text}`)
    })
    return await Promise.race([run, limit])
  } catch (error) {
    return failure('failed', `${name} failed: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    clearTimeout(timer)
  }
}
