/**
 * Appends records to a trajectory file. Opening an existing file drops a torn tail, or everything past a given byte length (to resume a run
 * exactly where its checkpoint stands). Not here: reading (reader.ts), record bytes (format.ts).
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { checkTrajectory } from './check.ts'
import { checkHeaderMeta, encodeRecord, type TrajectoryRecord } from './format.ts'
import { RecordStream } from './stream.ts'
import type { RawImage, Trajectory } from './trajectory.ts'

export interface WriterOptions {
  /** Fields of the header of a new file (plain msgpack values; `format` and `version` are the format's own). */
  readonly meta?: Readonly<Record<string, unknown>>
  /** Keep only this many bytes of an existing file; must be a record boundary. */
  readonly truncateTo?: number
}

function apart(path: string, keep: number, whole: number): never {
  throw new Error(
    `TrajectoryWriter: ${path} should hold ${keep} bytes of whole records, got ${whole}. The checkpoint and the file do not belong together.`,
  )
}

export class TrajectoryWriter {
  private readonly descriptor: number
  private readonly path: string
  private readonly knownImages = new Set<string>()
  /** Of the current step: what a continuation may fork from. */
  private readonly knownIds = new Set<string>()
  private length = 0
  private step = -1

  private constructor(path: string, descriptor: number) {
    this.path = path
    this.descriptor = descriptor
  }

  static open(path: string, options: WriterOptions = {}): TrajectoryWriter {
    const meta = options.meta ?? {}
    checkHeaderMeta(meta)
    const exists = existsSync(path)
    if (!exists && options.truncateTo) apart(path, options.truncateTo, 0)
    mkdirSync(dirname(path), { recursive: true })
    const writer = new TrajectoryWriter(path, openSync(path, exists ? 'r+' : 'w+'))
    try {
      writer.length = writer.scan(options.truncateTo)
      ftruncateSync(writer.descriptor, writer.length)
      if (writer.length === 0) writer.append(encodeRecord({ kind: 'header', meta }))
    } catch (error) {
      closeSync(writer.descriptor)
      throw error
    }
    return writer
  }

  /** Learns what the file holds, up to `keep` bytes or its last whole record, and returns that length. Reads in pieces; changes nothing. */
  private scan(keep = Number.POSITIVE_INFINITY): number {
    const stream = new RecordStream(this.path)
    let read = 0
    let whole = 0
    // the first record is looked at even if nothing is kept: another program's file must not be emptied
    while (whole < keep || whole === 0) {
      const taken = stream.next()
      if (taken) {
        whole = taken.end
        this.remember(taken.record)
        continue
      }
      const room = stream.room()
      const count = readSync(this.descriptor, room, 0, room.length, read)
      if (count === 0) break
      read += count
      stream.filled(count)
    }
    if (keep === 0) {
      this.knownImages.clear()
      this.knownIds.clear()
      return 0
    }
    if (keep !== Number.POSITIVE_INFINITY && whole !== keep) apart(this.path, keep, whole)
    return whole
  }

  private remember(record: TrajectoryRecord | null): void {
    if (record?.kind === 'image') this.knownImages.add(record.sha256)
    if (record?.kind !== 'trajectory') return
    const { id, step } = record.trajectory
    if (step !== this.step) this.knownIds.clear()
    this.step = step
    this.knownIds.add(id)
  }

  private append(bytes: Uint8Array): void {
    let done = 0
    try {
      while (done < bytes.length)
        done += writeSync(this.descriptor, bytes, done, bytes.length - done, this.length + done)
    } catch (error) {
      ftruncateSync(this.descriptor, this.length)
      throw new Error(
        `${this.path}: cannot append (${(error as Error).message}). What was written before is whole; free space and resume the run.`,
      )
    }
    this.length += bytes.length
  }

  /** Stores an image once, whatever the number of calls. */
  image(sha256: string, image: RawImage): void {
    if (this.knownImages.has(sha256)) return
    if (image.data.length !== image.width * image.height * 3)
      throw new Error(
        `TrajectoryWriter: image ${sha256} must have ${image.width * image.height * 3} bytes, got ${image.data.length}.`,
      )
    this.append(encodeRecord({ kind: 'image', sha256, image }))
    this.knownImages.add(sha256)
  }

  /** The trajectory's images must have been stored and its parent written before, in the same step. */
  trajectory(trajectory: Trajectory): void {
    checkTrajectory(trajectory)
    for (const { sha256 } of trajectory.images)
      if (!this.knownImages.has(sha256))
        throw new Error(`TrajectoryWriter: image ${sha256} of ${trajectory.id} was not stored. Call image() first.`)
    const { id, parent, step } = trajectory
    if (parent && !(step === this.step && this.knownIds.has(parent.id)))
      throw new Error(
        `TrajectoryWriter: parent ${parent.id} of ${id} was not written before it among the trajectories of step ${step}. Write a step's sources, then their continuations, then the next step.`,
      )
    const record = { kind: 'trajectory', trajectory } as const
    this.append(encodeRecord(record))
    this.remember(record)
  }

  meta(value: Readonly<Record<string, unknown>>): void {
    this.append(encodeRecord({ kind: 'meta', value }))
  }

  /** Bytes written so far: a record boundary, to be kept in a checkpoint for `truncateTo`. */
  byteLength(): number {
    return this.length
  }

  /** Flushes to the disk. */
  sync(): void {
    fsyncSync(this.descriptor)
  }

  close(): void {
    closeSync(this.descriptor)
  }
}
