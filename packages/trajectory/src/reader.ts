/**
 * Reads trajectory files piece by piece, also while they are being written: whole records come out in order, a torn tail is reported, never guessed at.
 * Not here: writing (writer.ts), cutting bytes into records (stream.ts), record bytes (format.ts).
 */
import { type FileHandle, open } from 'node:fs/promises'
import { FormatError, type TrajectoryRecord } from './format.ts'
import { RecordStream, type TornTail } from './stream.ts'
import type { RawImage, Trajectory } from './trajectory.ts'

export interface ReadOptions {
  /**
   * 'error' (default): an unfinished last record throws after all whole ones were yielded. 'stop': it ends the iteration, and is what the generator returns
   * (`tornTail` of `loadTrajectories`): for a file still being written, or whose writer was cut off. Wrong bytes throw either way.
   */
  readonly tornTail?: 'error' | 'stop'
}

/** `end`: byte offset of the record after it. */
export type StoredRecord = TrajectoryRecord & { readonly end: number }

function* wholeRecords(stream: RecordStream): Generator<StoredRecord, void> {
  for (let taken = stream.next(); taken; taken = stream.next())
    if (taken.record) yield { ...taken.record, end: taken.end }
}

function endOf(stream: RecordStream, options: ReadOptions): TornTail | null {
  const tail = stream.tail()
  if (tail && options.tornTail !== 'stop') throw stream.describe(new FormatError('torn', tail.reason))
  return tail
}

/** All whole records of a file's bytes; returns the torn tail, null if there is none. `path` only names it in errors. */
export function* decodeRecords(
  bytes: Uint8Array,
  path: string,
  options: ReadOptions = {},
): Generator<StoredRecord, TornTail | null> {
  const stream = new RecordStream(path, bytes)
  yield* wholeRecords(stream)
  return endOf(stream, options)
}

function unreadable(path: string, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error)
  throw new Error(`${path}: cannot be read (${reason}). Give the path of a trajectory file.`)
}

/**
 * Yields every record of a file, holding one piece of it and one step's trajectories; returns the torn tail, null if there is none.
 * Throws, after the whole records, with file, byte offset and repair.
 */
export async function* readTrajectories(
  path: string,
  options: ReadOptions = {},
): AsyncGenerator<StoredRecord, TornTail | null> {
  const handle: FileHandle = await open(path).catch((error: unknown) => unreadable(path, error))
  try {
    const stream = new RecordStream(path)
    let empty = true
    for (;;) {
      const { bytesRead } = await handle.read(stream.room()).catch((error: unknown) => unreadable(path, error))
      if (bytesRead === 0) break
      empty = false
      stream.filled(bytesRead)
      yield* wholeRecords(stream)
    }
    if (empty)
      throw new FormatError(
        'torn',
        `${path}: the file is empty, not even a header was written. Run again what should have written it.`,
      )
    return endOf(stream, options)
  } finally {
    await handle.close()
  }
}

export interface TrajectoryFile {
  readonly meta: Readonly<Record<string, unknown>>
  readonly trajectories: readonly Trajectory[]
  readonly images: ReadonlyMap<string, RawImage>
  readonly metas: readonly Readonly<Record<string, unknown>>[]
  /** Null: the file is whole. Only with `tornTail: 'stop'`. */
  readonly tornTail: TornTail | null
}

/** A whole file in memory. */
export async function loadTrajectories(path: string, options: ReadOptions = {}): Promise<TrajectoryFile> {
  let meta: Readonly<Record<string, unknown>> = {}
  const trajectories: Trajectory[] = []
  const images = new Map<string, RawImage>()
  const metas: Readonly<Record<string, unknown>>[] = []
  const records = readTrajectories(path, options)
  for (;;) {
    const { done, value } = await records.next()
    if (done) return { meta, trajectories, images, metas, tornTail: value }
    if (value.kind === 'header') meta = value.meta
    else if (value.kind === 'trajectory') trajectories.push(value.trajectory)
    else if (value.kind === 'image') images.set(value.sha256, value.image)
    else metas.push(value.value)
  }
}
