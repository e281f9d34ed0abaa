/**
 * Copies device memory to the host. Reads asked for in the same turn share one staging buffer, one submit and one wait; many may be under way.
 */
import type { Patience } from './patience.ts'

/** Staging is never larger: a long read goes in pieces. */
const PIECE_BYTES = 64 * 2 ** 20
/** Idle staging buffers kept. */
const KEPT = 4

interface Request {
  readonly source: GPUBuffer
  readonly byteOffset: number
  readonly into: Uint8Array
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

export class Readback {
  /** Staging buffers made so far, and waits opened. */
  readonly counts = { allocations: 0, readBacks: 0 }
  private readonly device: GPUDevice
  private readonly patience: Patience
  private readonly idle: GPUBuffer[] = []
  private held = 0
  private asked: Request[] = []

  constructor(device: GPUDevice, patience: Patience) {
    this.device = device
    this.patience = patience
  }

  byteLength(): number {
    return this.held
  }

  /** Bytes [byteOffset, byteOffset + byteLength) as they are when all that was submitted before this turn's end has run. */
  async read(source: GPUBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    const result = new Uint8Array(byteLength)
    const pieces: Promise<void>[] = []
    for (let start = 0; start < byteLength; start += PIECE_BYTES) {
      const into = result.subarray(start, Math.min(byteLength, start + PIECE_BYTES))
      pieces.push(
        new Promise((resolve, reject) => this.ask({ source, byteOffset: byteOffset + start, into, resolve, reject })),
      )
    }
    await Promise.all(pieces)
    return result.buffer
  }

  private ask(request: Request): void {
    if (this.asked.length === 0) queueMicrotask(() => this.flush())
    this.asked.push(request)
  }

  /** Starts what was asked for, in groups that fit one staging buffer. */
  private flush(): void {
    const asked = this.asked
    this.asked = []
    for (let first = 0; first < asked.length; ) {
      let [last, byteLength] = [first, 0]
      while (last < asked.length && (last === first || byteLength + asked[last]!.into.length <= PIECE_BYTES))
        byteLength += asked[last++]!.into.length
      const group = asked.slice(first, last)
      first = last
      this.readGroup(group, byteLength).then(
        () => group.forEach(({ resolve }) => void resolve()),
        (cause: unknown) => group.forEach(({ reject }) => void reject(cause)),
      )
    }
  }

  private async readGroup(group: readonly Request[], byteLength: number): Promise<void> {
    this.counts.readBacks++
    const staging = this.take(byteLength)
    try {
      const encoder = this.device.createCommandEncoder()
      let at = 0
      for (const { source, byteOffset, into } of group) {
        encoder.copyBufferToBuffer(source, byteOffset, staging, at, into.length)
        at += into.length
      }
      this.device.queue.submit([encoder.finish()])
      const sleepMs = this.patience.sleepMs()
      if (sleepMs > 0) await new Promise((resolve) => setTimeout(resolve, sleepMs))
      await staging.mapAsync(GPUMapMode.READ, 0, byteLength)
      this.patience.ended()
      const bytes = new Uint8Array(staging.getMappedRange(0, byteLength))
      at = 0
      for (const { into } of group) {
        into.set(bytes.subarray(at, at + into.length))
        at += into.length
      }
      staging.unmap()
    } catch (cause) {
      this.drop(staging)
      throw cause
    }
    if (this.idle.length < KEPT) this.idle.push(staging)
    else this.drop(staging)
  }

  /** The smallest idle buffer that fits, else a new one of a power of two. */
  private take(byteLength: number): GPUBuffer {
    let best = -1
    for (const [i, { size }] of this.idle.entries())
      if (size >= byteLength && (best < 0 || size < this.idle[best]!.size)) best = i
    if (best >= 0) return this.idle.splice(best, 1)[0]!
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(byteLength)))
    this.counts.allocations++
    this.held += size
    return this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  }

  private drop(staging: GPUBuffer): void {
    this.held -= staging.size
    staging.destroy()
  }

  close(): void {
    for (const buffer of this.idle) this.drop(buffer)
    this.idle.length = 0
  }
}
