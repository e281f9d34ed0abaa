import { describe, expect, it } from 'vitest'
import { KvCache, type Lease } from './kv-cache.ts'

const range = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i)
const runAll = (cache: KvCache, lease: Lease) => cache.schedule(lease, 1000)

describe('kv cache', () => {
  it('computes a shared prompt once, gives each sequence its own last token', () => {
    const cache = new KvCache(1024)
    const a = cache.acquire(range(40), 10)!
    const b = cache.acquire(range(40), 10)!
    expect(a.rows.slice(0, 39)).toEqual(b.rows.slice(0, 39))
    expect(a.rows[39]).not.toBe(b.rows[39])
    expect(runAll(cache, a)).toEqual(range(40))
    expect(runAll(cache, b)).toEqual([39])
    expect(cache.isComplete(b)).toBe(true)
  })

  it('forks at any token, reuses generated tokens and leaves nothing behind', () => {
    const cache = new KvCache(1024)
    const a = cache.acquire(range(20), 10)!
    runAll(cache, a)
    for (const token of [50, 51, 52]) cache.append(a, token)
    expect(runAll(cache, a)).toEqual([20, 21, 22])
    cache.release(a)
    const fork = cache.acquire([...range(20), 50, 51, 77, 78], 4)!
    expect(fork.rows.slice(0, 22)).toEqual(a.rows.slice(0, 22))
    expect(runAll(cache, fork)).toEqual([22, 23])
    const middle = cache.acquire([...range(7), 99, 98], 4)!
    expect(middle.rows.slice(0, 7)).toEqual(a.rows.slice(0, 7))
    expect(runAll(cache, middle)).toEqual([7, 8])
    cache.release(fork)
    cache.release(middle)
    cache.clear()
    expect(cache.freeRows()).toBe(1024)
  })

  it('never hands out a row twice, whatever the traffic', () => {
    const cache = new KvCache(640)
    const running: Lease[] = []
    let state = 1
    const random = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 16) % n
    }
    for (let step = 0; step < 600; step++) {
      if (running.length < 6 && random(2) === 0) {
        const keys = [...range(8 + random(20)), ...range(1 + random(20), 100 * random(3))]
        const lease = cache.acquire(keys, 12)
        if (lease) running.push(lease)
      } else if (running.length > 0) {
        const lease = running[random(running.length)]!
        runAll(cache, lease)
        if (lease.rows.length - lease.sharedCount < 12 && random(3) > 0) cache.append(lease, 1000 + random(2))
        else {
          cache.release(lease)
          running.splice(running.indexOf(lease), 1)
        }
      }
      const owner = new Map<number, string>()
      for (const lease of running)
        lease.rows.forEach((row, i) => {
          const prefix =
            i < lease.sharedCount ? lease.keys.slice(0, i + 1).join() : `private ${running.indexOf(lease)} ${i}`
          expect(owner.get(row) ?? prefix).toBe(prefix)
          owner.set(row, prefix)
        })
    }
    for (const lease of running) cache.release(lease)
    cache.clear()
    expect(cache.freeRows()).toBe(640)
  })

  it('says no when the pool is full of running sequences, evicts finished ones', () => {
    const cache = new KvCache(64)
    const a = cache.acquire(range(20), 10)!
    expect(cache.acquire(range(20, 100), 10)).toBeNull()
    runAll(cache, a)
    cache.release(a)
    expect(cache.acquire(range(20, 100), 10)).not.toBeNull()
  })
})
