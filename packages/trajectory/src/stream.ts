/**
 * Records out of bytes that come in pieces of any size: holds the bytes of one unfinished record and the trajectories that a continuation may fork from (those
 * of the current step), nothing else. Not here: where bytes come from (reader.ts, writer.ts), record bytes (format.ts).
 */
import { decodeRecord, FormatError, readFrame, type TrajectoryRecord } from './format.ts'
import type { Trajectory } from './trajectory.ts'

/** An unfinished last record. */
export interface TornTail {
  /** Whole records before it, the header included. */
  readonly records: number
  /** Where it begins: the length of the whole part. */
  readonly byte: number
  readonly reason: string
}

export interface Taken {
  /** Null: a kind that this version does not know. */
  readonly record: TrajectoryRecord | null
  /** Byte offset of the next record in the file. */
  readonly end: number
}

const firstBytes = 1 << 18
// every file starts so: a record whose kind is the string "header"
const fileStart = new TextEncoder().encode('\u0000\u0000header')
fileStart.set([0x93, 0xa6])

function checkStart(bytes: Uint8Array): void {
  const head = bytes.subarray(0, fileStart.length)
  if (head.every((byte, i) => byte === fileStart[i])) return
  const got = [...head].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  throw new FormatError('foreign', `its first record must be a header, got the bytes ${got}`)
}

export class RecordStream {
  private readonly path: string
  private buffer: Uint8Array
  private start = 0
  private filledTo: number
  private offset = 0
  private records = 0
  private step = -1
  private readonly parents = new Map<string, Trajectory>()
  private tornReason = ''

  /** `path` only names the file in errors. `bytes`: the whole file, when it is in memory already. */
  constructor(path: string, bytes?: Uint8Array) {
    this.path = path
    // never as a Buffer: bin values in meta records would come out as one
    this.buffer = bytes ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : new Uint8Array(firstBytes)
    this.filledTo = bytes?.length ?? 0
  }

  /** The next whole record; null: none without more bytes. Throws on wrong bytes. */
  next(): Taken | null {
    if (this.start === this.filledTo) return null
    try {
      const bytes = this.buffer.subarray(this.start, this.filledTo)
      if (this.offset === 0) checkStart(bytes)
      const frame = readFrame(bytes, 0)
      const record = decodeRecord(frame.kind, frame.body, (id) => this.parents.get(id))
      if (record?.kind === 'trajectory') this.keep(record.trajectory)
      this.start += frame.end
      this.offset += frame.end
      this.records++
      return { record, end: this.offset }
    } catch (error) {
      if (!(error instanceof FormatError && error.fault === 'torn')) throw this.describe(error)
      this.tornReason = error.message
      return null
    }
  }

  private keep(trajectory: Trajectory): void {
    if (trajectory.step !== this.step) this.parents.clear()
    this.step = trajectory.step
    this.parents.set(trajectory.id, trajectory)
  }

  /** Where the file's next bytes go; `filled` says how many came. */
  room(): Uint8Array {
    if (this.start > 0) {
      this.buffer.copyWithin(0, this.start, this.filledTo)
      this.filledTo -= this.start
      this.start = 0
    }
    if (this.filledTo === this.buffer.length) {
      // doubled only when full: a wrong length costs no more memory than the file has bytes
      const wider = new Uint8Array(this.buffer.length * 2)
      wider.set(this.buffer)
      this.buffer = wider
    }
    return this.buffer.subarray(this.filledTo)
  }

  filled(count: number): void {
    this.filledTo += count
  }

  /** What is left when no more bytes come; null: the bytes ended where a record did. */
  tail(): TornTail | null {
    if (this.start === this.filledTo) return null
    return { records: this.records, byte: this.offset, reason: this.tornReason }
  }

  /** Names the file, the byte, and what to do about it. */
  describe(error: unknown): FormatError {
    const fault = error instanceof FormatError ? error.fault : 'corrupt'
    const reason = error instanceof Error ? error.message : String(error)
    const { path, offset, records } = this
    if (fault === 'foreign') return new FormatError(fault, `${path}: not a trajectory file: ${reason}. Check the path.`)
    const whole = records === 1 ? 'whole record before it' : `${records} whole records before it`
    const cut = `to keep the ${whole}: truncate -s ${offset} ${JSON.stringify(path)}`
    const repair =
      fault === 'version'
        ? 'Read it with the version that wrote it or a newer one'
        : records === 0
          ? 'Nothing before it can be kept. Restore the file from a copy, or run again what wrote it'
          : fault === 'torn'
            ? `Its writer was cut off, or is still writing. Let it finish, or, ${cut}`
            : `Restore the file from a copy, or, ${cut}`
    return new FormatError(fault, `${path}: ${fault} record at byte ${offset}: ${reason}. ${repair}.`)
  }
}
