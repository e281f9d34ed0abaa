/** Images and documents of a user's questions: read from files beside theirs, from data URIs, or as they are. Not here: the other fields (user-tasks.ts, user-tasks-module.ts). */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { LineError, readJsonl, shown } from './jsonl.ts'
import type { Picture, SearchDocument } from './question.ts'
import { checkNames, type Fields, objects, optionalText, text } from './user-tasks-fields.ts'

/** PNG or JPEG bytes to pixels; @axpo/agent has one. Throws for what it cannot read. */
export type DecodeImage = (bytes: Uint8Array) => Picture

function imageBytes(reference: string, folder: string): Uint8Array {
  if (reference.startsWith('data:')) {
    const base64 = /^data:image\/[a-z.+-]+;base64,([A-Za-z0-9+/]+=*)$/.exec(reference)?.[1]
    if (base64 === undefined)
      throw new LineError(
        `image must be a path or data:image/png;base64,..., got ${shown(reference)}. Encode it again.`,
      )
    return Buffer.from(base64, 'base64')
  }
  const path = resolve(folder, reference)
  if (!existsSync(path))
    throw new LineError(`image must be a file beside the task file, got nothing at ${path}. Check the path.`)
  return readFileSync(path)
}

/** The picture that a path (relative to `folder`) or a data URI names. */
export function pictureOf(reference: string, folder: string, decodeImage: DecodeImage | undefined): Picture {
  const bytes = imageBytes(reference, folder)
  if (!decodeImage) throw new Error('loadUserTasks: images need a decoder, got none. Pass decodeImage of @axpo/agent.')
  try {
    return decodeImage(bytes)
  } catch (error) {
    throw new LineError(`image must be readable, got ${shown(reference)}: ${(error as Error).message}`)
  }
}

function documentOf(fields: Fields, index: number): SearchDocument {
  checkNames(fields, ['id', 'title', 'text'])
  const id = optionalText(fields, 'id') ?? `d${String(index).padStart(5, '0')}`
  return { id, title: text(fields, 'title'), text: text(fields, 'text') }
}

/** Documents in the field itself, or in a JSONL file of their own that many questions may name; each such file is read once. */
export function createDocumentReader(folder: string): (fields: Fields) => readonly SearchDocument[] {
  const known = new Map<string, readonly SearchDocument[]>()
  return (fields) => {
    if (typeof fields.documents !== 'string') return objects(fields, 'documents').map(documentOf)
    const path = resolve(folder, fields.documents)
    let found = known.get(path)
    if (!found) {
      if (!existsSync(path))
        throw new LineError(`documents must be a list or a JSONL file, got nothing at ${path}. Check the path.`)
      let index = 0
      found = readJsonl(path, (line) => documentOf(line.value, index++))
      known.set(path, found)
    }
    return found
  }
}
