/**
 * Bytes of one record: a msgpack array [kind, crc32, body], body = bin holding one msgpack value. SPEC.md says it field by field.
 * Plain msgpack only (no extension types), typed arrays as little-endian bin, so that any reader opens a file.
 * Not here: files (stream.ts, writer.ts, reader.ts), the meaning of fields (trajectory.ts), what they may hold (check.ts).
 */
import { Packr } from 'msgpackr'
import { isCount, isSha256, show, trajectoryFault } from './check.ts'
import { crc32 } from './crc32.ts'
import type { ImageSpan, RawImage, Segment, ToolCall, Trajectory } from './trajectory.ts'

export const formatName = 'axpo-trajectory'
export const formatVersion = 1

export type TrajectoryRecord =
  | { readonly kind: 'header'; readonly meta: Readonly<Record<string, unknown>> }
  | { readonly kind: 'image'; readonly sha256: string; readonly image: RawImage }
  | { readonly kind: 'trajectory'; readonly trajectory: Trajectory }
  | { readonly kind: 'meta'; readonly value: Readonly<Record<string, unknown>> }

/** `torn` = the end is missing (a writer was cut off), `corrupt` = bytes are wrong, `version` = of a newer writer, `foreign` = not a trajectory file. */
export type FormatFault = 'torn' | 'corrupt' | 'version' | 'foreign'

export class FormatError extends Error {
  readonly fault: FormatFault
  constructor(fault: FormatFault, message: string) {
    super(message)
    this.name = 'FormatError'
    this.fault = fault
  }
}

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  encodeUndefinedAsNil: true,
  copyBuffers: true,
})

const bytesOf = (a: Int32Array | Float32Array | Uint8Array): Uint8Array =>
  Uint8Array.from(new Uint8Array(a.buffer, a.byteOffset, a.byteLength))

function packSegment(s: Segment): Record<string, unknown> {
  const base = { kind: s.kind, start: s.start, end: s.end, weight_version: s.weightVersion }
  if (!s.call) return base
  const { name, argumentsJson, status, observation, imageSha256 } = s.call
  return { ...base, call: { name, arguments: argumentsJson, status, observation, image: imageSha256 } }
}

/** Body of a trajectory: a continuation keeps only its own tokens, the shared prefix is the parent's. */
function packTrajectory(t: Trajectory): Record<string, unknown> {
  const from = t.parent ? t.parent.forkToken : 0
  return {
    id: t.id,
    question_id: t.questionId,
    family: t.family,
    split: t.split,
    step: t.step,
    question: t.question,
    sample: t.sample,
    parent: t.parent ? { id: t.parent.id, fork_token: t.parent.forkToken } : null,
    token_count: t.tokens.length,
    tokens: bytesOf(t.tokens.slice(from)),
    logprobs: bytesOf(t.logprobs.slice(from)),
    entropies: bytesOf(t.entropies.slice(from)),
    trainable: bytesOf(t.trainable.slice(from)),
    segments: t.segments.map(packSegment),
    images: t.images.map((i) => ({ sha256: i.sha256, token_start: i.tokenStart, token_count: i.tokenCount })),
    answer: t.answer,
    reward: t.reward,
    finish: t.finish,
  }
}

const reservedKeys = ['format', 'version']

/** Throws where `meta` would overwrite the header's own fields. */
export function checkHeaderMeta(meta: Readonly<Record<string, unknown>>): void {
  for (const key of reservedKeys)
    if (Object.hasOwn(meta, key))
      throw new Error(
        `TrajectoryWriter: meta must not hold the header's own key "${key}", got ${String(meta[key])}. Give the field another name.`,
      )
}

function bodyOf(record: TrajectoryRecord): Record<string, unknown> {
  switch (record.kind) {
    case 'header':
      checkHeaderMeta(record.meta)
      return { format: formatName, version: formatVersion, ...record.meta }
    case 'image':
      return {
        sha256: record.sha256,
        width: record.image.width,
        height: record.image.height,
        rgb: bytesOf(record.image.data),
      }
    case 'trajectory':
      return packTrajectory(record.trajectory)
    case 'meta':
      return record.value
  }
}

export function encodeRecord(record: TrajectoryRecord): Uint8Array {
  const body = new Uint8Array(packr.pack(bodyOf(record)))
  return new Uint8Array(packr.pack([record.kind, crc32(body), body]))
}

const text = new TextDecoder()

/** Big-endian length at `offset`, or a torn error when the bytes end before it. */
function lengthAt(bytes: Uint8Array, offset: number, size: 1 | 2 | 4): number {
  if (offset + size > bytes.length) throw new FormatError('torn', 'record ends inside a length')
  let n = 0
  for (let i = 0; i < size; i++) n = n * 256 + bytes[offset + i]!
  return n
}

/** What is missing of a record's bytes is `torn`, what is there and wrong is `corrupt`. Reads the frame without decoding the body: msgpack fixarray(3), fixstr kind, uint crc, bin body. */
export function readFrame(bytes: Uint8Array, offset: number): { kind: string; body: Uint8Array; end: number } {
  const need = (at: number, count: number): void => {
    if (at + count > bytes.length) throw new FormatError('torn', 'record ends before its body does')
  }
  if (bytes[offset] !== 0x93)
    throw new FormatError('corrupt', `expected a record (0x93), got 0x${bytes[offset]!.toString(16)}`)
  need(offset, 2)
  const kindLength = bytes[offset + 1]! - 0xa0
  if (kindLength < 0 || kindLength > 31) throw new FormatError('corrupt', 'expected a short string as record kind')
  let at = offset + 2
  need(at, kindLength + 1)
  const kind = text.decode(bytes.subarray(at, at + kindLength))
  at += kindLength
  const crcTag = bytes[at++]!
  const crcSize = crcTag === 0xcc ? 1 : crcTag === 0xcd ? 2 : crcTag === 0xce ? 4 : 0
  if (crcSize === 0 && crcTag > 0x7f) throw new FormatError('corrupt', 'expected an unsigned CRC')
  const crc = crcSize === 0 ? crcTag : lengthAt(bytes, at, crcSize)
  at += crcSize
  need(at, 1)
  const binTag = bytes[at++]!
  const binSize = binTag === 0xc4 ? 1 : binTag === 0xc5 ? 2 : binTag === 0xc6 ? 4 : 0
  if (binSize === 0) throw new FormatError('corrupt', 'expected a bin body')
  const length = lengthAt(bytes, at, binSize)
  at += binSize
  need(at, length)
  const body = bytes.subarray(at, at + length)
  if (crc32(body) !== crc) throw new FormatError('corrupt', 'checksum of the body does not match')
  return { kind, body, end: at + length }
}

type Body = Readonly<Record<string, never>>

/** A msgpack map, as opposed to nil, an array, bin or an extension. */
function mapOf(value: unknown, name: string): Body {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    throw new FormatError('corrupt', `${name} must be a map, got ${show(value)}`)
  return value as Body
}

function listOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new FormatError('corrupt', `${name} must be an array, got ${show(value)}`)
  return value
}

/** A copy (the bytes read from may be overwritten), aligned for elements of `width` bytes. */
function binOf(value: unknown, name: string, width: number): Uint8Array<ArrayBuffer> {
  if (!(value instanceof Uint8Array)) throw new FormatError('corrupt', `${name} must be bin, got ${show(value)}`)
  if (value.length % width !== 0)
    throw new FormatError('corrupt', `${name} must be bin of ${width} bytes an element, got ${value.length} bytes`)
  return new Uint8Array(value)
}

function unpackSegment(value: unknown): Segment {
  const s = mapOf(value, 'a segment')
  const base = { kind: s.kind, start: s.start, end: s.end, weightVersion: s.weight_version }
  if (s.call === undefined) return base
  const c = mapOf(s.call, 'call')
  const call: ToolCall = {
    name: c.name,
    argumentsJson: c.arguments,
    status: c.status,
    observation: c.observation,
    imageSha256: c.image,
  }
  return { ...base, call }
}

function unpackImage(value: unknown): ImageSpan {
  const i = mapOf(value, 'an image run')
  return { sha256: i.sha256, tokenStart: i.token_start, tokenCount: i.token_count }
}

function joined<A extends Int32Array | Float32Array | Uint8Array>(prefix: A | undefined, own: A): A {
  if (!prefix) return own
  const all = new (own.constructor as new (n: number) => A)(prefix.length + own.length)
  all.set(prefix)
  all.set(own, prefix.length)
  return all
}

type FindParent = (id: string) => Trajectory | undefined

/** The shared prefix of a continuation: its parent is a trajectory of the same step, earlier in the file. */
function forkOf(b: Body, parentOf: FindParent): { readonly source: Trajectory; readonly forkToken: number } | null {
  if (b.parent === null) return null
  const link = mapOf(b.parent, 'parent')
  const forkToken: unknown = link.fork_token
  const source = parentOf(link.id)
  if (!source || source.step !== b.step)
    throw new FormatError('corrupt', `parent ${show(link.id)} is not before it among the trajectories of its step`)
  if (!Number.isInteger(forkToken) || Number(forkToken) < 1 || Number(forkToken) > source.tokens.length)
    throw new FormatError('corrupt', `fork_token must lie in 1..${source.tokens.length}, got ${show(forkToken)}`)
  return { source, forkToken: Number(forkToken) }
}

/** Every field is checked: a record that its writer would have refused is corrupt, whatever its checksum. */
function unpackTrajectory(b: Body, parentOf: FindParent): Trajectory {
  const fork = forkOf(b, parentOf)
  const shared = <A extends Int32Array | Float32Array | Uint8Array>(array: (t: Trajectory) => A): A | undefined =>
    fork ? (array(fork.source).subarray(0, fork.forkToken) as A) : undefined
  const tokens = joined(
    shared((t) => t.tokens),
    new Int32Array(binOf(b.tokens, 'tokens', 4).buffer),
  )
  if (tokens.length !== b.token_count)
    throw new FormatError('corrupt', `token_count must be ${tokens.length}, got ${show(b.token_count)}`)
  const trajectory: Trajectory = {
    id: b.id,
    questionId: b.question_id,
    family: b.family,
    split: b.split,
    step: b.step,
    question: b.question,
    sample: b.sample,
    parent: fork ? { id: fork.source.id, forkToken: fork.forkToken } : null,
    tokens,
    logprobs: joined(
      shared((t) => t.logprobs),
      new Float32Array(binOf(b.logprobs, 'logprobs', 4).buffer),
    ),
    entropies: joined(
      shared((t) => t.entropies),
      new Float32Array(binOf(b.entropies, 'entropies', 4).buffer),
    ),
    trainable: joined(
      shared((t) => t.trainable),
      binOf(b.trainable, 'trainable', 1),
    ),
    segments: listOf(b.segments, 'segments').map(unpackSegment),
    images: listOf(b.images, 'images').map(unpackImage),
    answer: b.answer,
    reward: b.reward,
    finish: b.finish,
  }
  const fault = trajectoryFault(trajectory)
  if (fault) throw new FormatError('corrupt', fault)
  return trajectory
}

/** `parentOf` finds an earlier trajectory by id, to restore the shared prefix. */
export function decodeTrajectory(body: Uint8Array, parentOf: FindParent): Trajectory {
  const b = mapOf(packr.unpack(body), 'a trajectory')
  try {
    return unpackTrajectory(b, parentOf)
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(error.fault, `trajectory ${show(b.id)}: ${error.message}`)
    throw error
  }
}

function decodeImage(b: Body): TrajectoryRecord {
  const sha256: unknown = b.sha256
  const width: unknown = b.width
  const height: unknown = b.height
  if (!isSha256(sha256)) throw new FormatError('corrupt', `sha256 must be 64 hex digits, got ${show(sha256)}`)
  if (!isCount(width) || !isCount(height))
    throw new FormatError('corrupt', `width and height must be whole numbers, got ${show(width)} and ${show(height)}`)
  const data = binOf(b.rgb, 'rgb', 1)
  if (data.length !== width * height * 3)
    throw new FormatError('corrupt', `rgb must have ${width * height * 3} bytes, got ${data.length}`)
  return { kind: 'image', sha256, image: { width, height, data } }
}

function decodeHeader(b: Body): TrajectoryRecord {
  const { format, version, ...meta } = b as Readonly<Record<string, unknown>>
  if (format !== formatName)
    throw new FormatError('foreign', `the header's format must be "${formatName}", got ${show(format)}`)
  if (!isCount(version) || version < 1)
    throw new FormatError('corrupt', `version must be a whole number from 1, got ${show(version)}`)
  if (version > formatVersion)
    throw new FormatError('version', `version ${version} is newer than this reader (${formatVersion})`)
  return { kind: 'header', meta }
}

/** Null for a kind that this version does not know. Nothing in the result lies in `body`'s memory. */
export function decodeRecord(kind: string, body: Uint8Array, parentOf: FindParent): TrajectoryRecord | null {
  if (kind === 'trajectory') return { kind, trajectory: decodeTrajectory(body, parentOf) }
  if (kind === 'meta') return { kind, value: mapOf(packr.unpack(body), 'a meta record') }
  if (kind === 'image') return decodeImage(mapOf(packr.unpack(body), 'an image'))
  if (kind === 'header') return decodeHeader(mapOf(packr.unpack(body), 'a header'))
  return null
}
