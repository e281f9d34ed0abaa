/**
 * Bytes of one record: a msgpack array [kind, crc32, body], body = bin holding one msgpack value. SPEC.md says it field by field.
 * Plain msgpack only (no extension types), typed arrays as little-endian bin, so that any reader opens a file.
 * Not here: files (writer.ts, reader.ts), the meaning of fields (trajectory.ts).
 */
import { Packr } from 'msgpackr'
import { crc32 } from './crc32.ts'
import type { RawImage, Segment, ToolCall, Trajectory } from './trajectory.ts'

export const formatName = 'axpo-trajectory'
export const formatVersion = 1

export type TrajectoryRecord =
  | { readonly kind: 'header'; readonly meta: Readonly<Record<string, unknown>> }
  | { readonly kind: 'image'; readonly sha256: string; readonly image: RawImage }
  | { readonly kind: 'trajectory'; readonly trajectory: Trajectory }
  | { readonly kind: 'meta'; readonly value: Readonly<Record<string, unknown>> }

/** A problem with bytes: `torn` = the end is missing (a writer was cut off), `corrupt` = they are wrong. */
export class FormatError extends Error {
  readonly fault: 'torn' | 'corrupt' | 'version'
  constructor(fault: 'torn' | 'corrupt' | 'version', message: string) {
    super(message)
    this.name = 'FormatError'
    this.fault = fault
  }
}

const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, encodeUndefinedAsNil: true })

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

function bodyOf(record: TrajectoryRecord): Record<string, unknown> {
  switch (record.kind) {
    case 'header':
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

/** Big-endian length at `offset`, or a torn error when the bytes end before it. */
function lengthAt(bytes: Uint8Array, offset: number, size: 1 | 2 | 4): number {
  if (offset + size > bytes.length) throw new FormatError('torn', 'record ends inside a length')
  let n = 0
  for (let i = 0; i < size; i++) n = n * 256 + bytes[offset + i]!
  return n
}

/** Reads the frame without decoding the body: msgpack fixarray(3), fixstr kind, uint crc, bin body. */
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
  const kind = new TextDecoder().decode(bytes.subarray(at, at + kindLength))
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

const typed = {
  i32: (b: Uint8Array) => new Int32Array(Uint8Array.from(b).buffer),
  f32: (b: Uint8Array) => new Float32Array(Uint8Array.from(b).buffer),
}

type Body = Record<string, never>

function unpackSegment(s: Body): Segment {
  const base = { kind: s.kind, start: s.start, end: s.end, weightVersion: s.weight_version }
  if (!s.call) return base
  const c = s.call as Body
  const call: ToolCall = {
    name: c.name,
    argumentsJson: c.arguments,
    status: c.status,
    observation: c.observation,
    imageSha256: c.image,
  }
  return { ...base, call }
}

function joined<A extends Int32Array | Float32Array | Uint8Array>(prefix: A | null, own: A): A {
  if (!prefix) return own
  const all = new (own.constructor as new (n: number) => A)(prefix.length + own.length)
  all.set(prefix)
  all.set(own, prefix.length)
  return all
}

/** `parentOf` finds an earlier trajectory by id, to restore the shared prefix. */
export function decodeTrajectory(body: Uint8Array, parentOf: (id: string) => Trajectory | undefined): Trajectory {
  const b = packr.unpack(body) as Body
  const link = b.parent as { id: string; fork_token: number } | null
  const source = link ? parentOf(link.id) : undefined
  if (link && !source)
    throw new FormatError('corrupt', `trajectory ${b.id} names parent ${link.id}, which is not before it in the file`)
  const share = <A extends Int32Array | Float32Array | Uint8Array>(a: A | undefined): A | null =>
    link && a ? (a.slice(0, link.fork_token) as A) : null
  const tokens = joined(share(source?.tokens), typed.i32(b.tokens))
  if (tokens.length !== (b.token_count as number))
    throw new FormatError('corrupt', `trajectory ${b.id} should have ${b.token_count} tokens, got ${tokens.length}`)
  return {
    id: b.id,
    questionId: b.question_id,
    family: b.family,
    split: b.split,
    step: b.step,
    question: b.question,
    sample: b.sample,
    parent: link ? { id: link.id, forkToken: link.fork_token } : null,
    tokens,
    logprobs: joined(share(source?.logprobs), typed.f32(b.logprobs)),
    entropies: joined(share(source?.entropies), typed.f32(b.entropies)),
    trainable: joined(share(source?.trainable), new Uint8Array(b.trainable)),
    segments: (b.segments as Body[]).map(unpackSegment),
    images: (b.images as Body[]).map((i) => ({
      sha256: i.sha256,
      tokenStart: i.token_start,
      tokenCount: i.token_count,
    })),
    answer: b.answer,
    reward: b.reward,
    finish: b.finish,
  }
}

export function decodeRecord(
  kind: string,
  body: Uint8Array,
  parentOf: (id: string) => Trajectory | undefined,
): TrajectoryRecord | null {
  if (kind === 'trajectory') return { kind, trajectory: decodeTrajectory(body, parentOf) }
  const value = packr.unpack(body) as Record<string, unknown>
  if (kind === 'meta') return { kind, value }
  if (kind === 'image') {
    const { sha256, width, height, rgb } = value as { sha256: string; width: number; height: number; rgb: Uint8Array }
    return { kind, sha256, image: { width, height, data: new Uint8Array(rgb) } }
  }
  if (kind === 'header') {
    const { format, version, ...meta } = value
    if (format !== formatName) throw new FormatError('version', `not a trajectory file: format is ${String(format)}`)
    if (typeof version !== 'number' || version > formatVersion)
      throw new FormatError(
        'version',
        `version ${String(version)} is newer than this reader (${formatVersion}). Update @axpo/trajectory`,
      )
    return { kind, meta }
  }
  return null
}
