/**
 * A user's own questions from a JSONL file: what each line may say, read strictly. Not here: judging answers (user-tasks-grader.ts), checking single fields
 * (user-tasks-fields.ts), images and documents (user-tasks-media.ts), questions from a module (user-tasks-module.ts), demonstrations (user-tasks-demonstrate.ts), playing
 * (@axpo/agent).
 */
import { basename, dirname, resolve } from 'node:path'
import type { DemonstratedCall } from './demonstrate.ts'
import { type JsonLine, LineError, readJsonl, shown } from './jsonl.ts'
import type { ChatMessage, Picture, SearchDocument } from './question.ts'
import { hashKey } from './random.ts'
import { type Split, splits } from './spec.ts'
import { checkNames, objects, oneOf, optionalText, text, texts } from './user-tasks-fields.ts'
import {
  choiceLetter,
  chosenOption,
  type Grader,
  gradeAnswer,
  graderKinds,
  onlyNumber,
  partsOf,
} from './user-tasks-grader.ts'
import { createDocumentReader, type DecodeImage, pictureOf } from './user-tasks-media.ts'

export interface UserTask {
  /** Default in a JSONL file: `${file name}-${line}`. */
  readonly id: string
  /** Results are reported by family; default: the file's name. */
  readonly family: string
  readonly split: Split
  readonly messages: readonly ChatMessage[]
  readonly images: readonly Picture[]
  readonly tools: readonly string[]
  /** What the search tool looks through. */
  readonly documents: readonly SearchDocument[]
  /** The right answer; of a choice, its letter; of parts, all of them; empty where the task's own grader alone knows. */
  readonly gold: string
  readonly grader: Grader
  /** Calls to learn from: right ones and plausible wrong ones. Empty unless the file has them. */
  readonly calls: readonly DemonstratedCall[]
  /** Solvable without a tool, the file says, as every known one is; only demonstrations look at it. */
  readonly easy: boolean
  /** Told in supervised fine-tuning whatever its split: what the model is to know by heart. */
  readonly known: boolean
  /** Where it stands, as `file:line`; in a module, which task it is. */
  readonly place: string
}

const fieldNames = [
  'question',
  'answer',
  'id',
  'family',
  'split',
  'tools',
  'image',
  'documents',
  'grader',
  'tolerance',
  'choices',
  'calls',
  'easy',
  'known',
] as const

/** By content, so that the same question is in the same split in every file and order: 80 % train, 10 % validation, 10 % test. */
export function splitOfContent(question: string, answer: string, images: readonly Picture[]): Split {
  const pictures = images.map(({ width, height, data }) => `${width}x${height}:${hashBytes(data)}`)
  const bucket = hashKey(0, 'user split', question, answer, ...pictures) % 10
  return bucket < 8 ? 'train' : bucket === 8 ? 'validation' : 'test'
}

function hashBytes(data: Uint8Array): number {
  let h = 0x811c9dc5
  for (const byte of data) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}

/** The parts of an answer that is a list: each its own, none cut by what separates them. */
function partList(value: JsonLine['value']): readonly string[] {
  const parts = Array.isArray(value.answer) ? texts(value, 'answer') : []
  const whole = parts.every((part) => partsOf(part).size === 1) && partsOf(parts.join(',')).size === parts.length
  if (parts.length < 2 || !whole)
    throw new LineError(
      `answer must be a list of two or more different texts without commas and semicolons for the grader parts, got ${shown(value.answer)}. Write it as ["...", "..."].`,
    )
  return parts
}

function graderOf(value: JsonLine['value']): Grader {
  const choices = texts(value, 'choices')
  const otherwise = Array.isArray(value.answer) ? 'parts' : 'exact'
  const kind = oneOf(value, 'grader', graderKinds) ?? (choices.length > 0 ? 'choice' : otherwise)
  if ((kind === 'choice') !== choices.length > 0)
    throw new LineError(
      `choices belong to the grader choice, got grader ${shown(kind)} and ${choices.length} choices. Add or delete them.`,
    )
  const { tolerance } = value
  if (tolerance !== undefined && (kind !== 'number' || typeof tolerance !== 'number' || !(tolerance >= 0)))
    throw new LineError(
      `tolerance must be a number of at least 0, for the grader number, got ${shown(tolerance)} for ${kind}. Correct or delete it.`,
    )
  if (kind === 'choice' && (choices.length < 2 || choices.length > 26))
    throw new LineError(`choices must be 2 to 26, got ${choices.length}. Add or delete some.`)
  if (kind === 'choice') return { kind, choices }
  if (kind === 'parts') return { kind, parts: partList(value) }
  return kind === 'number' ? { kind, tolerance: (tolerance as number | undefined) ?? 0 } : { kind }
}

/** The answer as the grader wants it. A number may be written as one. */
function goldOf(value: JsonLine['value'], grader: Grader): string {
  if (grader.kind === 'parts') return grader.parts.join(', ')
  const answer = typeof value.answer === 'number' ? String(value.answer) : text(value, 'answer')
  if (grader.kind === 'number' && onlyNumber(answer) === null)
    throw new LineError(`answer must be a number for the grader number, got ${shown(answer)}. Write one number.`)
  if (grader.kind === 'number') return String(onlyNumber(answer))
  if (grader.kind !== 'choice') return answer
  const index = chosenOption(grader.choices, answer)
  if (index === null)
    throw new LineError(`answer must be the letter or the text of a choice, got ${shown(answer)}. Correct it.`)
  return choiceLetter(index)
}

function callOf(fields: JsonLine['value']): DemonstratedCall {
  checkNames(fields, ['name', 'arguments', 'right', 'reading'])
  const { arguments: args, right } = fields
  if (typeof args !== 'object' || args === null || Array.isArray(args) || typeof right !== 'boolean')
    throw new LineError(
      `a call must have arguments (an object) and right (true or false), got ${shown(fields)}. Add them.`,
    )
  return {
    name: text(fields, 'name'),
    arguments: args as Record<string, unknown>,
    right,
    reading: optionalText(fields, 'reading'),
  }
}

function flag(value: JsonLine['value'], name: 'easy' | 'known'): boolean {
  const given = value[name] ?? false
  if (typeof given !== 'boolean') throw new LineError(`${name} must be true or false, got ${shown(given)}. Correct it.`)
  return given
}

const wording = (question: string, grader: Grader): string =>
  grader.kind === 'choice'
    ? [question, ...grader.choices.map((choice, i) => `${choiceLetter(i)}. ${choice}`)].join('\n')
    : question

/** All questions of a file, in its order. Throws with every mistake as `file:line: rule, got value. Repair.` */
export function loadUserTasks(path: string, decodeImage?: DecodeImage): UserTask[] {
  const folder = dirname(resolve(path))
  const name = basename(path).replace(/\.jsonl?$/, '')
  const documentsOf = createDocumentReader(folder)
  const places = new Map<string, number>()
  return readJsonl(path, ({ line, value }) => {
    checkNames(value, fieldNames)
    const question = text(value, 'question')
    const grader = graderOf(value)
    const gold = goldOf(value, grader)
    const images = texts(value, 'image').map((reference) => pictureOf(reference, folder, decodeImage))
    const id = optionalText(value, 'id') ?? `${name}-${line}`
    const before = places.get(id)
    if (before !== undefined)
      throw new LineError(`id must be unique, got ${shown(id)}, which line ${before} has too. Rename one.`)
    places.set(id, line)
    const words = wording(question, grader)
    return {
      id,
      family: optionalText(value, 'family') ?? name,
      split: oneOf(value, 'split', splits) ?? splitOfContent(words, gold, images),
      messages: [
        { role: 'user', content: [...images.map(() => ({ type: 'image' as const })), { type: 'text', text: words }] },
      ],
      images,
      tools: texts(value, 'tools'),
      documents: documentsOf(value),
      gold,
      grader,
      calls: objects(value, 'calls').map(callOf),
      easy: flag(value, 'easy') || flag(value, 'known'),
      known: flag(value, 'known'),
      place: `${path}:${line}`,
    }
  })
}

/** From 0 to 1; 1 for a right answer. */
export function gradeUserTask(task: Pick<UserTask, 'grader' | 'gold'>, answer: string | null): number {
  return gradeAnswer(task.grader, task.gold, answer)
}
