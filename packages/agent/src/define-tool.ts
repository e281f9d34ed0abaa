/**
 * A user's tool from one description: a name, what it is for, the shape of its arguments (a JSON Schema, or a schema of zod or any library of the Standard Schema), and a function.
 * Not here: checking arguments against the schema and wording errors (registry.ts), tools of a server (mcp.ts).
 */
import { limitTime } from './limit-time.ts'
import type { RawImage, Tool, ToolContext, ToolResult } from './tool.ts'

/** What zod 4.2+ (and other libraries of https://standardschema.dev) give a schema, as far as it is used here. */
export interface TypedSchema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>
    readonly jsonSchema?: { readonly input: (options: { readonly target: 'draft-07' }) => Record<string, unknown> }
  }
}

type PathPart = PropertyKey | { readonly key: PropertyKey }
interface Issue {
  readonly message: string
  readonly path?: readonly PathPart[] | undefined
}
type Validated<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] }

/** Plain JSON Schema, draft-07 or 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>
export type Arguments = Readonly<Record<string, unknown>>

/** What a user's tool returns: text, an image (8-bit RGB), or both. */
export type ToolReply = string | RawImage | { readonly text: string; readonly image?: RawImage | null }

export interface ToolDefinition<Args> {
  /** As the model calls it; letters, digits, `_`, `-`, `.`. */
  readonly name: string
  /** For the model: what it does, when to use it. */
  readonly description: string
  readonly parameters: JsonSchema | TypedSchema<Args>
  /** Milliseconds a call may take; without it the registry's limit holds (5 s). Either way `signal` is aborted. */
  readonly timeoutMs?: number
  /** `context`: the episode's images and documents. Throwing is fine: the model sees the message. */
  readonly run: (args: Args, signal: AbortSignal, context: ToolContext) => ToolReply | Promise<ToolReply>
}

const isTyped = <Args>(schema: JsonSchema | TypedSchema<Args>): schema is TypedSchema<Args> => '~standard' in schema

function jsonSchemaOf<Args>(name: string, schema: JsonSchema | TypedSchema<Args>): Record<string, unknown> {
  if (!isTyped(schema)) return { ...schema }
  const { jsonSchema, vendor } = schema['~standard']
  if (!jsonSchema)
    throw new Error(
      `defineTool: parameters of ${name} must turn into a JSON Schema, got a schema of ${vendor} that does not. Use zod 4.2 or later, or write the JSON Schema.`,
    )
  // the draft is the registry's default
  const { $schema: _draft, ...parameters } = jsonSchema.input({ target: 'draft-07' })
  return parameters
}

const partText = (part: PathPart): string => String(typeof part === 'object' ? part.key : part)
const issueText = ({ message, path = [] }: Issue): string => `/${path.map(partText).join('/')} ${message}`

async function typed<Args>(
  schema: JsonSchema | TypedSchema<Args>,
  args: Arguments,
): Promise<{ readonly value: Args } | { readonly wrong: string }> {
  // a plain JSON Schema says nothing to the compiler: Args is what the definition claims
  if (!isTyped(schema)) return { value: args as Args }
  const checked = await schema['~standard'].validate(args)
  return checked.issues ? { wrong: checked.issues.map(issueText).join('; ') } : { value: checked.value }
}

function resultOf(reply: ToolReply): ToolResult {
  if (typeof reply === 'string') return { status: 'ok', text: reply, image: null }
  if (reply === null || typeof reply !== 'object')
    return { status: 'failed', text: `run must return text, an image or { text, image }, got ${String(reply)}` }
  if ('data' in reply) return { status: 'ok', text: '', image: reply }
  return { status: 'ok', text: reply.text, image: reply.image ?? null }
}

export function defineTool<Args = Arguments>(definition: ToolDefinition<Args>): Tool {
  const { name, description, parameters, timeoutMs, run } = definition
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new Error(
      `defineTool: name must be 1 to 64 letters, digits, _, - or ., got ${JSON.stringify(name)}. Rename it.`,
    )
  const schema = jsonSchemaOf(name, parameters)
  const call = async (args: Arguments, context: ToolContext, signal: AbortSignal): Promise<ToolResult> => {
    const checked = await typed(parameters, args)
    if ('wrong' in checked) return { status: 'bad-arguments', text: checked.wrong }
    return resultOf(await run(checked.value, signal, context))
  }
  return {
    spec: { type: 'function', function: { name, description, parameters: schema } },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    run:
      timeoutMs === undefined
        ? call
        : (args, context, signal) => limitTime(timeoutMs, signal, (s) => call(args, context, s)),
  }
}
