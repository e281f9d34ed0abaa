/**
 * Loads a module of the user's, of tools or of tasks. It may stand anywhere: where it finds no @axpo package or zod of its own, it gets the ones that this program runs with. Not here: what
 * its default export must be (user-task-tools.ts, @axpo/tasks).
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

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

/** `flag`: who names it, for errors. */
function readModule(flag: string, path: string): string {
  if (!existsSync(path))
    throw new Error(`${flag}: a module (.ts, .mjs, .js) is needed, got nothing at ${path}. Check the path.`)
  return readFileSync(path, 'utf8')
}

/** SHA-256 of the module's own text; what it imports is not seen. */
export function hashModule(flag: string, path: string): string {
  return createHash('sha256').update(readModule(flag, path)).digest('hex')
}

/** The module's default export. A process runs a module once, however often it is loaded. */
export async function loadModule(flag: string, path: string): Promise<unknown> {
  readModule(flag, path)
  using _packages = lendPackages()
  try {
    const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown }
    return module.default
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`${flag}: ${path} must load, got ${message}. Correct it.`, { cause: error })
  }
}
