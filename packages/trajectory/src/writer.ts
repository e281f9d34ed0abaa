/**
 * Appends records to a trajectory file. Opening an existing file drops a torn tail, or everything past a given byte length (to resume a run
 * exactly where its checkpoint stands). Not here: reading (reader.ts), record bytes (format.ts).
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { encodeRecord, FormatError, readFrame } from './format.ts'
import { decodeRecords } from './reader.ts'
import { checkTrajectory, type RawImage, type Trajectory } from './trajectory.ts'

export interface WriterOptions {
  /** Fields of the header of a new file (plain msgpack values). */
  readonly meta?: Readonly<Record<string, unknown>>
  /** Keep only this many bytes of an existing file; must be a record boundary. */
  readonly truncateTo?: number
}

/** End of the last whole record; throws on a corrupt one. */
function wholeByteLength(bytes: Uint8Array, path: string): number {
  let offset = 0
  while (offset < bytes.length) {
    try {
      offset = readFrame(bytes, offset).end
    } catch (error) {
      if (error instanceof FormatError && error.fault === 'torn') return offset
      throw new Error(
        `${path}: record at byte ${offset} is corrupt (${(error as Error).message}). Truncate the file there or restore a copy; it was left as it is.`,
      )
    }
  }
  return offset
}

export class TrajectoryWriter {
  private readonly descriptor: number
  private readonly path: string
  private readonly knownImages = new Set<string>()
  private readonly knownIds = new Set<string>()
  private length: number

  private constructor(path: string, descriptor: number, length: number) {
    this.path = path
    this.descriptor = descriptor
    this.length = length
  }

  static open(path: string, options: WriterOptions = {}): TrajectoryWriter {
    mkdirSync(dirname(path), { recursive: true })
    const bytes = existsSync(path) ? readFileSync(path) : new Uint8Array(0)
    const whole = wholeByteLength(bytes, path)
    const keep = options.truncateTo ?? whole
    if (keep > whole)
      throw new Error(
        `TrajectoryWriter: ${path} should hold ${keep} bytes, got ${whole} whole ones. The checkpoint and the file do not belong together.`,
      )
    const writer = new TrajectoryWriter(path, openSync(path, keep === 0 ? 'w' : 'r+'), keep)
    for (const record of decodeRecords(bytes.subarray(0, keep), path)) {
      if (record.kind === 'image') writer.knownImages.add(record.sha256)
      if (record.kind === 'trajectory') writer.knownIds.add(record.trajectory.id)
    }
    ftruncateSync(writer.descriptor, keep)
    if (keep === 0) writer.append(encodeRecord({ kind: 'header', meta: options.meta ?? {} }))
    return writer
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

  /** The trajectory's images must have been stored and its parent written before. */
  trajectory(trajectory: Trajectory): void {
    checkTrajectory(trajectory)
    for (const { sha256 } of trajectory.images)
      if (!this.knownImages.has(sha256))
        throw new Error(`TrajectoryWriter: image ${sha256} of ${trajectory.id} was not stored. Call image() first.`)
    if (trajectory.parent && !this.knownIds.has(trajectory.parent.id))
      throw new Error(`TrajectoryWriter: parent ${trajectory.parent.id} of ${trajectory.id} was not written before it.`)
    this.append(encodeRecord({ kind: 'trajectory', trajectory }))
    this.knownIds.add(trajectory.id)
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
