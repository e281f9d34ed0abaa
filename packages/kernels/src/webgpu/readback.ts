/** Copies device memory to the host through a few reused staging buffers; many reads may be under way at once. */

/** Staging is never larger: a long read goes in pieces. */
const PIECE_BYTES = 64 * 2 ** 20

export class Readback {
  private readonly device: GPUDevice
  private readonly idle: GPUBuffer[] = []

  constructor(device: GPUDevice) {
    this.device = device
  }

  /** Bytes [byteOffset, byteOffset + byteLength) as they are when all that was submitted before has run. */
  async read(source: GPUBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    const result = new Uint8Array(byteLength)
    const pieces: Promise<void>[] = []
    for (let start = 0; start < byteLength; start += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, byteLength - start)
      pieces.push(this.readPiece(source, byteOffset + start, result.subarray(start, start + length)))
    }
    await Promise.all(pieces)
    return result.buffer
  }

  private async readPiece(source: GPUBuffer, byteOffset: number, into: Uint8Array): Promise<void> {
    const staging = this.take(into.length)
    const encoder = this.device.createCommandEncoder()
    encoder.copyBufferToBuffer(source, byteOffset, staging, 0, into.length)
    this.device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ, 0, into.length)
    into.set(new Uint8Array(staging.getMappedRange(0, into.length)))
    staging.unmap()
    if (this.idle.length < 4) this.idle.push(staging)
    else staging.destroy()
  }

  /** The smallest idle buffer that fits, else a new one of a power of two. */
  private take(byteLength: number): GPUBuffer {
    const fits = this.idle.filter((buffer) => buffer.size >= byteLength).sort((a, b) => a.size - b.size)[0]
    if (fits) {
      this.idle.splice(this.idle.indexOf(fits), 1)
      return fits
    }
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(byteLength)))
    return this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  }

  close(): void {
    for (const buffer of this.idle) buffer.destroy()
    this.idle.length = 0
  }
}
