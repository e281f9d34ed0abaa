/**
 * A user's tools from a module of theirs: its default export is a tool, a list of tools, or what `connectMcpServer` gives. The module may stand anywhere: where it finds no @axpo package or zod
 * of its own, it gets the ones that this program runs with. Not here: what a tool is (@axpo/agent).
 */
import { existsSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Tool } from '@axpo/agent'

export interface UserTools {
  readonly tools: readonly Tool[]
  dispose(): Promise<void>
}

/** Where packages are looked for when the user's module has none. */
const fallbacks = [import.meta.url, import.meta.resolve('@axpo/agent')]
const lent = /^(@axpo\/|zod($|\/))/

/** Packages for modules that have none themselves; ends when the module is loaded. */
function lendPackages(): Disposable {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (!lent.test(specifier)) return next(specifier, context)
      try {
        return next(specifier, context)
      } catch (error) {
        for (const parentURL of fallbacks) {
          try {
            return next(specifier, { ...context, parentURL })
          } catch {
            // the next one may have it; the first error is the one to tell
          }
        }
        throw error
      }
    },
  })
  return { [Symbol.dispose]: () => hooks.deregister() }
}

const isTool = (value: unknown): value is Tool =>
  typeof value === 'object' && value !== null && 'spec' in value && 'run' in value && typeof value.run === 'function'

const isServer = (value: unknown): value is UserTools =>
  typeof value === 'object' && value !== null && 'tools' in value && 'dispose' in value

/** Starts what the module starts; `dispose` ends it. */
export async function loadUserTools(path: string): Promise<UserTools> {
  if (!existsSync(path))
    throw new Error(`--tools: a module (.ts, .mjs, .js) is needed, got nothing at ${path}. Check the path.`)
  using _packages = lendPackages()
  const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown }
  const found = module.default
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
