/**
 * The builds import a shared memory. A web page may refuse one, and one thread needs none: this clears the "shared" bit of the import, nothing
 * else. Atomic operations are valid on a memory that is not shared; only waiting on it is not, and one thread never waits.
 */

const IMPORTS = 2
const KIND_FUNCTION = 0
const KIND_MEMORY = 2
/** Limits of a shared memory: it has a maximum (1) and is shared (2). */
const SHARED_LIMITS = 3
const UNSHARED_LIMITS = 1

/** A copy of a WebAssembly module whose imported memory is not shared. */
export function unshareMemory(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(module)
  let at = 8
  const leb = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
  }
  const name = () => {
    const length = leb()
    at += length
  }
  while (at < bytes.length) {
    const id = bytes[at++]
    const end = leb() + at
    if (id === IMPORTS)
      for (let left = leb(); left > 0; left--) {
        name()
        name()
        const kind = bytes[at++]
        if (kind === KIND_MEMORY && bytes[at] === SHARED_LIMITS) {
          bytes[at] = UNSHARED_LIMITS
          return bytes
        }
        if (kind !== KIND_FUNCTION) break
        leb()
      }
    at = end
  }
  throw new Error('cpu: the build must import a shared memory after functions only, got none. Run npm run build.')
}
