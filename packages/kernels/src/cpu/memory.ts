/** Places in the one WebAssembly memory of the CPU executor: first fit in freed holes, else at its end. Byte addresses; sizes in bytes. */

export const PAGE = 65536
/** WebAssembly's 32-bit addresses end here. */
const MOST_BYTES = 65536 * PAGE

interface Place {
  readonly byteOffset: number
  readonly byteLength: number
}

export class CpuMemory {
  readonly memory: WebAssembly.Memory
  /** Places taken so far. */
  allocations = 0
  private readonly holes: Place[] = []
  private top = 0
  private held = 0

  /** The first `reserved` bytes are never handed out. Where the memory is not shared, growth detaches the views taken before. */
  constructor(reserved: number, shared: boolean) {
    this.memory = new WebAssembly.Memory({ initial: 16, maximum: MOST_BYTES / PAGE, shared })
    this.grow('control words', reserved)
    this.top = reserved
  }

  byteLength(): number {
    return this.held
  }

  ints(byteOffset: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, byteOffset, length)
  }

  floats(byteOffset: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, byteOffset, length)
  }

  /** Bytes of unknown content. Where there is no room it throws and changes nothing. */
  take(what: string, length: number): number {
    const byteLength = roundUp(length)
    const index = this.holes.findIndex((hole) => hole.byteLength >= byteLength)
    const hole = this.holes[index]
    const byteOffset = hole ? hole.byteOffset : this.top
    if (!hole) {
      this.grow(what, this.top + byteLength)
      this.top += byteLength
    } else if (hole.byteLength === byteLength) this.holes.splice(index, 1)
    else this.holes[index] = { byteOffset: byteOffset + byteLength, byteLength: hole.byteLength - byteLength }
    this.held += byteLength
    this.allocations++
    return byteOffset
  }

  release(byteOffset: number, length: number): void {
    const byteLength = roundUp(length)
    this.held -= byteLength
    this.holes.push({ byteOffset, byteLength })
    this.holes.sort((a, b) => a.byteOffset - b.byteOffset)
    for (let i = this.holes.length - 1; i > 0; i--) {
      const [left, right] = [this.holes[i - 1]!, this.holes[i]!]
      if (left.byteOffset + left.byteLength === right.byteOffset)
        this.holes.splice(i - 1, 2, { byteOffset: left.byteOffset, byteLength: left.byteLength + right.byteLength })
    }
  }

  private grow(what: string, byteLength: number): void {
    if (byteLength > MOST_BYTES)
      throw new Error(
        `cpu: ${what} must fit in WebAssembly's ${MOST_BYTES} bytes, of which ${this.held} are held, got ${byteLength} in all. Use a smaller model or batch.`,
      )
    const missing = Math.ceil((byteLength - this.memory.buffer.byteLength) / PAGE)
    if (missing <= 0) return
    try {
      this.memory.grow(missing)
    } catch (cause) {
      throw new Error(
        `cpu: ${what} must fit in this machine's memory, got ${byteLength} bytes in all refused (${String(cause)}). Free memory, or use a smaller model or batch.`,
        { cause },
      )
    }
  }
}

function roundUp(length: number): number {
  return Math.ceil(Math.max(length, 1) / 256) * 256
}
