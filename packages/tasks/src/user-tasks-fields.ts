/** The fields of a line of a task file, each checked: a wrong one is a LineError that says what would be right. */
import { LineError, shown } from './jsonl.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Refuses names that nobody reads: a typo would be ignored in silence. */
export function checkNames(fields: Fields, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new LineError(`fields are ${known.join(', ')}, got ${shown(unknown)}. Rename or delete it.`)
}

export function text(fields: Fields, name: string): string {
  const value = optionalText(fields, name)
  if (value === null) throw new LineError(`${name} must be a text that is not empty, got nothing. Add it.`)
  return value
}

export function optionalText(fields: Fields, name: string): string | null {
  const value = fields[name]
  if (value === undefined) return null
  if (typeof value !== 'string' || value.trim() === '')
    throw new LineError(`${name} must be a text that is not empty, got ${shown(value)}. Write it in quotes.`)
  return value
}

export function oneOf<T extends string>(fields: Fields, name: string, choices: readonly T[]): T | null {
  const value = fields[name]
  if (value === undefined) return null
  const found = choices.find((c) => c === value)
  if (found === undefined)
    throw new LineError(`${name} must be one of ${choices.join(', ')}, got ${shown(value)}. Choose one.`)
  return found
}

/** A text or a list of texts, as a list. */
export function texts(fields: Fields, name: string): readonly string[] {
  const value = fields[name] ?? []
  const list = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list) || !list.every((v): v is string => typeof v === 'string' && v.trim() !== ''))
    throw new LineError(`${name} must be a list of texts, got ${shown(value)}. Write it as ["..."].`)
  return list
}

/** A list of objects. */
export function objects(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name] ?? []
  if (!Array.isArray(value) || !value.every((v) => typeof v === 'object' && v !== null && !Array.isArray(v)))
    throw new LineError(`${name} must be a list of objects, got ${shown(value)}. Write it as [{...}].`)
  return value as readonly Fields[]
}
