/**
 * Reads trajectory files, also while they are being written: whole records come out in order, a torn tail is reported, never guessed at.
 * Not here: writing (writer.ts), record bytes (format.ts).
 */
import { readFile } from 'node:fs/promises'
import { decodeRecord, FormatError, readFrame, type TrajectoryRecord } from './format.ts'
import type { RawImage, Trajectory } from './trajectory.ts'

export interface ReadOptions {
  /** 'error' (default): an unfinished last record throws after all whole ones were yielded. 'stop': it ends the iteration (a file still being written). */
  readonly tornTail?: 'error' | 'stop'
}

function describe(path: string, offset: number, error: unknown): Error {
  const fault = error instanceof FormatError ? error.fault : 'corrupt'
  const reason = error instanceof Error ? error.message : String(error)
  const repair =
    fault === 'torn'
      ? 'Its writer was cut off: the records before it are whole. Open the file with TrajectoryWriter to drop the torn tail, or read it with tornTail: "stop"'
      : fault === 'version'
        ? 'Read it with the version that wrote it or a newer one'
        : `Records before byte ${offset} are whole; restore the rest from a copy, or truncate the file there`
  return new FormatError(fault, `${path}: ${fault} record at byte ${offset}: ${reason}. ${repair}.`)
}

/** All whole records of a file's bytes. `path` only names it in errors. */
export function* decodeRecords(
  bytes: Uint8Array,
  path: string,
  options: ReadOptions = {},
): Generator<TrajectoryRecord & { readonly end: number }> {
  const byId = new Map<string, Trajectory>()
  let offset = 0
  while (offset < bytes.length) {
    let record: TrajectoryRecord | null
    let end: number
    try {
      const frame = readFrame(bytes, offset)
      if (offset === 0 && frame.kind !== 'header')
        throw new FormatError('corrupt', `the first record must be a header, got ${frame.kind}`)
      record = decodeRecord(frame.kind, frame.body, (id) => byId.get(id))
      end = frame.end
    } catch (error) {
      if (options.tornTail === 'stop' && error instanceof FormatError && error.fault === 'torn') return
      throw describe(path, offset, error)
    }
    if (record?.kind === 'trajectory') byId.set(record.trajectory.id, record.trajectory)
    offset = end
    if (record) yield { ...record, end }
  }
}

/** Yields every record of a file. Throws, after the whole records, with file, byte offset and repair. */
export async function* readTrajectories(
  path: string,
  options: ReadOptions = {},
): AsyncGenerator<TrajectoryRecord & { readonly end: number }> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(
      `${path}: cannot be read (${error instanceof Error ? error.message : String(error)}). Give the path of a trajectory file.`,
    )
  })
  if (bytes.length === 0)
    throw new FormatError(
      'torn',
      `${path}: the file is empty, not even a header was written. Run again what should have written it.`,
    )
  yield* decodeRecords(bytes, path, options)
}

export interface TrajectoryFile {
  readonly meta: Readonly<Record<string, unknown>>
  readonly trajectories: readonly Trajectory[]
  readonly images: ReadonlyMap<string, RawImage>
  readonly metas: readonly Readonly<Record<string, unknown>>[]
}

/** A whole file in memory. */
export async function loadTrajectories(path: string, options: ReadOptions = {}): Promise<TrajectoryFile> {
  let meta: Readonly<Record<string, unknown>> = {}
  const trajectories: Trajectory[] = []
  const images = new Map<string, RawImage>()
  const metas: Readonly<Record<string, unknown>>[] = []
  for await (const record of readTrajectories(path, options)) {
    if (record.kind === 'header') meta = record.meta
    else if (record.kind === 'trajectory') trajectories.push(record.trajectory)
    else if (record.kind === 'image') images.set(record.sha256, record.image)
    else metas.push(record.value)
  }
  return { meta, trajectories, images, metas }
}
