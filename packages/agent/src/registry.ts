/** The tools of a run: validates arguments against their JSON Schemas, runs with a time limit, and words what went wrong the same way every time. */

import type { ToolStatus } from '@axpo/trajectory'
import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
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

/** Longest side of an image over its shortest: beyond it no image processor takes it. */
const maxAspect = 200

/** What is wrong with an image that a tool returned; null: nothing. */
function imageFault(image: RawImage): string | null {
  const { width, height, data } = image
  const sides = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0
  if (!sides || !(data instanceof Uint8Array) || data.length !== width * height * 3)
    return `an image must have width * height * 3 bytes of RGB, got ${width} x ${height} and ${data?.length} bytes`
  if (Math.max(width, height) > maxAspect * Math.min(width, height))
    return `an image's sides must differ by at most ${maxAspect} times, got ${width} x ${height}`
  return null
}

/** Schemas of draft-07 unless they say 2020-12. Formats are not checked: the tool does, where it cares. */
function createCompiler(): (name: string, schema: Record<string, unknown>) => ValidateFunction {
  const options = { strict: false, validateFormats: false, addUsedSchema: false } as const
  const draft07 = new Ajv(options)
  let draft2020: Ajv2020 | undefined
  return (name, schema) => {
    const { $schema, ...rest } = schema
    try {
      if (!String($schema).includes('2020-12')) return draft07.compile(rest)
      draft2020 ??= new Ajv2020(options)
      return draft2020.compile(rest)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      throw new Error(
        `createToolRegistry: parameters of ${name} must be a JSON Schema, got one that does not compile: ${message}. Correct the tool's parameters.`,
      )
    }
  }
}

/** A tool that keeps no time limit itself may take `timeoutMs`; then its signal is aborted and the call is a time-out. */
export function createToolRegistry(tools: readonly Tool[], timeoutMs = 5000): ToolRegistry {
  const compile = createCompiler()
  const byName = new Map<string, { readonly tool: Tool; readonly validate: ValidateFunction }>()
  for (const tool of tools) {
    const { name, parameters } = tool.spec.function
    if (byName.has(name)) throw new Error(`createToolRegistry: two tools are named ${name}.`)
    byName.set(name, { tool, validate: compile(name, parameters) })
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
      if (result.status === 'ok') {
        const fault = result.image && imageFault(result.image)
        if (fault) return failure('failed', `${name} failed: ${fault}`)
        return { status: 'ok', text: result.text, image: result.image }
      }
      if (result.status === 'bad-arguments')
        return failure('bad-arguments', `bad arguments for ${name}: ${result.text}`)
      return result.status === 'timeout' ? late : failure('failed', `${name} failed: ${result.text}`)
    })
    return await Promise.race([run, limit])
  } catch (error) {
    return failure('failed', `${name} failed: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    clearTimeout(timer)
  }
}
