/**
 * A user's own questions from a module of theirs, each with its own grader: what its default export may be, read as strictly as a line of a file. Not here: loading the
 * module (the app does), playing (@axpo/agent).
 */
import { basename, dirname, resolve } from 'node:path'
import { LineError, readEach, shown } from './jsonl.ts'
import type { ChatContent, ChatMessage, Picture, SearchDocument } from './question.ts'
import { type Split, splits } from './spec.ts'
import type { UserTask } from './user-tasks.ts'
import { checkNames, type Fields, objects, oneOf, optionalText, text, texts } from './user-tasks-fields.ts'
import { createDocumentReader, type DecodeImage, pictureOf } from './user-tasks-media.ts'

/** A question as a module gives it. */
export interface OwnTask {
  /** Unique in the module. */
  readonly id: string
  /** The only message of the user; images stand before it. */
  readonly question?: string
  /** Instead of `question`: the whole conversation, with an image part for each of `images`. */
  readonly messages?: readonly ChatMessage[]
  /** Pixels, a path beside the module, or a data URI. */
  readonly images?: readonly (Picture | string)[]
  readonly tools?: readonly string[]
  /** What the search tool looks through, or a JSONL file of it beside the module. */
  readonly documents?: string | readonly (Omit<SearchDocument, 'id'> & { readonly id?: string })[]
  /** Results are reported by it; default: the module's name. */
  readonly family?: string
  /** Needed in a plain list; from a function, the one it was asked for. */
  readonly split?: Split
  /** The reward of an answer, from 0 to 1; the same every time. No answer is 0 and is not asked about. */
  grade(answer: string): number
}

/** What a module of tasks exports by default. */
export type OwnTasks = readonly OwnTask[] | ((split: Split) => readonly OwnTask[] | Promise<readonly OwnTask[]>)

const fieldNames = ['id', 'question', 'messages', 'images', 'tools', 'documents', 'family', 'split', 'grade']

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function imageOf(value: unknown, folder: string, decodeImage: DecodeImage | undefined): Picture {
  if (typeof value === 'string') return pictureOf(value, folder, decodeImage)
  const { width, height, data } = isObject(value) ? value : {}
  const whole = Number.isInteger(width) && Number.isInteger(height) && data instanceof Uint8Array
  if (!whole || data.length === 0 || data.length !== Number(width) * Number(height) * 3)
    throw new LineError(
      `an image must be a path, a data URI, or { width, height, data } with width * height * 3 bytes of RGB, got ${shown(value)}. Correct it.`,
    )
  return { width: Number(width), height: Number(height), data }
}

const roles = ['system', 'user', 'assistant', 'tool'] as const

function contentOf(content: unknown): ChatContent {
  if (typeof content === 'string') return content
  const isPart = (part: unknown) =>
    isObject(part) && (part.type === 'image' || (part.type === 'text' && typeof part.text === 'string'))
  if (!Array.isArray(content) || !content.every(isPart))
    throw new LineError(
      `content must be a text or a list of { type: 'text', text } and { type: 'image' }, got ${shown(content)}. Correct it.`,
    )
  return content as ChatContent
}

function messagesOf(fields: Fields, images: readonly Picture[]): readonly ChatMessage[] {
  if (fields.messages === undefined) {
    const question = { type: 'text' as const, text: text(fields, 'question') }
    return [{ role: 'user', content: [...images.map(() => ({ type: 'image' as const })), question] }]
  }
  if (fields.question !== undefined) throw new LineError('a task must have question or messages, got both. Delete one.')
  const messages = objects(fields, 'messages').map((message): ChatMessage => {
    checkNames(message, ['role', 'content'])
    return { role: oneOf(message, 'role', roles) ?? 'user', content: contentOf(message.content) }
  })
  const shownImages = messages.flatMap((m) => (typeof m.content === 'string' ? [] : m.content)).filter(isImage).length
  if (messages.length === 0 || shownImages !== images.length)
    throw new LineError(
      `messages must have an image part for each of images, got ${messages.length} messages with ${shownImages} for ${images.length}. Correct them.`,
    )
  return messages
}

const isImage = (part: { readonly type: string }) => part.type === 'image'

/** The task's own grader, held to what a reward is. */
function gradeOf(fields: Fields, place: string): (answer: string) => number {
  const { grade } = fields
  if (typeof grade !== 'function')
    throw new LineError(`grade must be a function (answer) => number from 0 to 1, got ${shown(grade)}. Add it.`)
  return (answer) => {
    let reward: unknown
    try {
      reward = grade.call(fields, answer)
    } catch (cause) {
      throw new Error(
        `${place}: grade must not throw, got ${String(cause)} for the answer ${shown(answer)}. Correct it.`,
        { cause },
      )
    }
    if (typeof reward !== 'number' || !(reward >= 0 && reward <= 1))
      throw new Error(
        `${place}: grade must give a number from 0 to 1, got ${String(reward)} for the answer ${shown(answer)}. Correct it.`,
      )
    return reward
  }
}

function splitOf(fields: Fields, asked: Split | null): Split {
  const split = oneOf(fields, 'split', splits) ?? asked
  if (split === null) throw new LineError(`split must be one of ${splits.join(', ')}, got nothing. Add it.`)
  if (asked !== null && split !== asked)
    throw new LineError(`split must be the one asked for, ${asked}, got ${shown(split)}. Leave it out.`)
  return split
}

interface Given {
  readonly value: unknown
  /** Null: the task says it. */
  readonly split: Split | null
  readonly place: string
}

async function givenBy(path: string, exported: unknown): Promise<Given[]> {
  const listOf = (list: unknown, split: Split | null): Given[] => {
    if (!Array.isArray(list))
      throw new Error(
        `${path}: the default export must be a list of tasks, or a function (split) => list of tasks, got ${split === null ? typeof exported : `${shown(list)} for ${split}`}. Add \`export default\`, or give a list.`,
      )
    const of = split === null ? '' : `${split} `
    return list.map((value: unknown, i) => ({ value, split, place: `${path}: ${of}task ${i + 1}` }))
  }
  if (typeof exported !== 'function') return listOf(exported, null)
  const found: Given[] = []
  for (const split of splits) found.push(...listOf(await exported(split), split))
  return found
}

/** All questions that the default export of the module at `path` gives. Throws with every mistake as `file: task: rule, got value. Repair.` */
export async function readTaskModule(path: string, exported: unknown, decodeImage?: DecodeImage): Promise<UserTask[]> {
  const folder = dirname(resolve(path))
  const documentsOf = createDocumentReader(folder)
  const places = new Map<string, string>()
  const given = await givenBy(path, exported)
  if (given.length === 0) throw new Error(`${path}: at least one task is needed, got none. Give one.`)
  return readEach(given, ({ value, split, place }) => {
    if (!isObject(value)) throw new LineError(`a task must be an object, got ${shown(value)}. Give { id, … }.`)
    checkNames(value, fieldNames)
    const id = text(value, 'id')
    const before = places.get(id)
    if (before !== undefined)
      throw new LineError(`id must be unique, got ${shown(id)}, which ${before} has too. Rename one.`)
    places.set(id, place)
    const list = value.images ?? []
    if (!Array.isArray(list)) throw new LineError(`images must be a list, got ${shown(list)}. Write it as [...].`)
    const images = list.map((image) => imageOf(image, folder, decodeImage))
    return {
      id,
      family: optionalText(value, 'family') ?? basename(path).replace(/\.\w+$/, ''),
      split: splitOf(value, split),
      messages: messagesOf(value, images),
      images,
      tools: texts(value, 'tools'),
      documents: documentsOf(value),
      gold: '',
      grader: { kind: 'own', grade: gradeOf(value, place) },
      calls: [],
      easy: false,
      known: false,
      place,
    }
  })
}
