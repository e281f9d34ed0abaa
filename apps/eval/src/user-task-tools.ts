/**
 * A user's tools from a module of theirs: its default export is a tool, a list of tools, or what `connectMcpServer` gives. Not here: what a tool is (@axpo/agent), loading modules
 * (user-task-module.ts).
 */
import { resolve } from 'node:path'
import type { Tool } from '@axpo/agent'
import { hashModule, loadModule } from './user-task-module.ts'

export interface UserTools {
  readonly tools: readonly Tool[]
  dispose(): Promise<void>
}

/** A module of tools as settings name it. */
export interface ToolsFile {
  readonly tools: string
  /** SHA-256 of its text. */
  readonly toolsSha256: string
}

const isTool = (value: unknown): value is Tool =>
  typeof value === 'object' && value !== null && 'spec' in value && 'run' in value && typeof value.run === 'function'

const isServer = (value: unknown): value is UserTools =>
  typeof value === 'object' && value !== null && 'tools' in value && 'dispose' in value

/** Starts what the module starts; `dispose` ends it. */
export async function loadUserTools(path: string): Promise<UserTools> {
  const found = await loadModule('--tools', path)
  const parts = Array.isArray(found) ? found : [found]
  const tools = parts.flatMap((part) => (isServer(part) ? part.tools : [part]))
  const servers = parts.filter(isServer)
  if (tools.length === 0 || !tools.every(isTool)) {
    await Promise.all(servers.map((s) => s.dispose()))
    throw new Error(
      `--tools: the default export of ${path} must be a tool of defineTool, what connectMcpServer gives, or a list of these, got ${typeof found}. Add \`export default\`.`,
    )
  }
  return {
    tools,
    dispose: async () => {
      await Promise.all(servers.map((s) => s.dispose()))
    },
  }
}

/** The module by its absolute path and text, as settings keep it; nothing where none is asked for. `tasks`: the questions asked for; those of the suite name no tool but the suite's. */
export function openToolsFile(path: string | undefined, tasks: string | undefined): ToolsFile | Record<never, never> {
  if (path === undefined) return {}
  if (tasks === undefined)
    throw new Error(
      `--tools: needs questions that name the tools, got no --tasks beside ${path}. Add --tasks with questions of your own (docs/your-own-tasks.md).`,
    )
  const tools = resolve(path)
  return { tools, toolsSha256: hashModule('--tools', tools) }
}

/** The tools that settings name: none where they name no module. Throws when the module has changed. */
export async function openUserTools({ tools: path, toolsSha256: wanted }: Partial<ToolsFile>): Promise<UserTools> {
  if (path === undefined) return { tools: [], dispose: async () => {} }
  const got = hashModule('--tools', path)
  if (got !== wanted)
    throw new Error(
      `${path}: the tools must be those the run began with (SHA-256 ${wanted?.slice(0, 12) ?? 'not told'}), got others (${got.slice(0, 12)}). Put the file back, or begin a new run in another --out.`,
    )
  return loadUserTools(path)
}
