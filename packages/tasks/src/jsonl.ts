/** Reads JSON Lines: one JSON value a line, empty lines skipped. Every error names file and line. Not here: what the values mean (user-tasks.ts). */
import { existsSync, readFileSync } from 'node:fs'

export interface JsonLine {
  /** From 1. */
  readonly line: number
  readonly value: Readonly<Record<string, unknown>>
}

/** A mistake in one line; the reader goes on, so that all of them can be told at once. */
export class LineError extends Error {}

const shownErrors = 10

/** A value in an error message, short. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** What `read` makes of each item; what it throws as LineError is collected as `place: message`, and thrown once all are read. */
export function readEach<I extends { readonly place: string }, R>(items: Iterable<I>, read: (item: I) => R): R[] {
  const results: R[] = []
  const errors: string[] = []
  for (const item of items) {
    try {
      results.push(read(item))
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      errors.push(`${item.place}: ${error.message}`)
    }
  }
  if (errors.length > shownErrors) errors.splice(shownErrors, Infinity, `and ${errors.length - shownErrors} more`)
  if (errors.length > 0) throw new Error(errors.join('\n'))
  return results
}

/** The object of every line, handed to `read`. Throws with every mistake as `file:line: message`, or when there is no line at all. */
export function readJsonl<T>(path: string, read: (line: JsonLine) => T): T[] {
  if (!existsSync(path)) throw new Error(`${path}: a JSONL file is needed, got nothing there. Check the path.`)
  const lines = readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((raw, i) => ({ raw, line: i + 1, place: `${path}:${i + 1}` }))
    .filter(({ raw }) => raw.trim() !== '')
  const results = readEach(lines, ({ raw, line }) => read({ line, value: parseObject(raw) }))
  if (results.length === 0) throw new Error(`${path}: at least one line is needed, got an empty file. Check the path.`)
  return results
}

function parseObject(raw: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch (error) {
    throw new LineError(
      `a line must be JSON, got ${(error as SyntaxError).message}. Put one whole object on each line.`,
    )
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new LineError(`a line must be an object, got ${shown(value)}. Put one object on each line.`)
  return value as Readonly<Record<string, unknown>>
}
