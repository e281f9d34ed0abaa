/**
 * Keyed random numbers: a stream depends on its key (a tuple of strings and integers) only, the same on every machine. MurmurHash3's mixer hashes the key,
 * sfc32 gives the stream (32-bit integer arithmetic: an image's noise takes about a millisecond). Not for sampling tokens (that is on the device).
 */

export type KeyPart = string | number

function mix32(h: number): number {
  let z = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}

/** 32-bit hash of a tuple; `salt` gives independent ones. */
export function hashKey(salt: number, ...key: readonly KeyPart[]): number {
  let h = mix32(salt + 0x9e3779b9)
  for (const part of key) {
    const text = `${typeof part}:${part}`
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) ^ (h >>> 15)
    h = mix32((h + text.length + 0x9e3779b9) | 0)
  }
  return mix32(h)
}

export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  uniform(): number
  /** Uniform integer in 0 .. n - 1. */
  below(n: number): number
  pick<T>(from: readonly T[]): T
  /** `count` different elements, in random order. */
  draw<T>(from: readonly T[], count: number): T[]
  /** Standard normal (Box-Muller). */
  normal(): number
}

export function createRandom(...key: readonly KeyPart[]): Random {
  let a = hashKey(1, ...key)
  let b = hashKey(2, ...key)
  let c = hashKey(3, ...key)
  let counter = 1
  const uniform = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 12; i++) uniform()
  const below = (n: number): number => Math.floor(uniform() * n)
  return {
    uniform,
    below,
    pick: (from) => from[below(from.length)]!,
    draw(from, count) {
      if (count > from.length) throw new Error(`draw: cannot draw ${count} of ${from.length}.`)
      const rest = [...from]
      return Array.from({ length: count }, () => rest.splice(below(rest.length), 1)[0]!)
    },
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  }
}
