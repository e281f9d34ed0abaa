import { describe, expect, test } from 'vitest'
import { mirrorOf, planApt } from './apt.mjs'
import { readProbe } from './vulkan.mjs'

const os = (id: string, version: string, codename = '') =>
  `PRETTY_NAME="X"\nID=${id}\nVERSION_ID="${version}"\nVERSION_CODENAME=${codename}\n`
const machine = { platform: 'linux', uid: 0, apt: true, osRelease: os('debian', '12', 'bookworm') }

describe('planApt', () => {
  test('Debian 12 needs its backports', () =>
    expect(planApt(machine)).toEqual({ ok: true, backports: 'bookworm-backports' }))
  test.each([
    ['debian', '13'],
    ['debian', ''],
    ['ubuntu', '24.04'],
  ])("%s %s: the system's own Mesa", (id, version) =>
    expect(planApt({ ...machine, osRelease: os(id, version) })).toEqual({ ok: true, backports: null }),
  )
  test('without root there is no apt', () =>
    expect(planApt({ ...machine, uid: 1000 })).toEqual({ ok: false, why: 'not root' }))
  test.each([
    { ...machine, apt: false },
    { ...machine, platform: 'darwin' },
    { ...machine, osRelease: os('debian', '11') },
    { ...machine, osRelease: os('fedora', '42') },
    { ...machine, osRelease: '' },
  ])('refused with a reason: %o', (other) => expect(planApt(other)).toMatchObject({ ok: false, why: /\S/ }))
})

describe('mirrorOf', () => {
  test('keeps the mirror in use, in either format', () => {
    expect(mirrorOf(['Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm'])).toBe(
      'http://mirror.example/debian',
    )
    expect(mirrorOf(['deb [arch=amd64] https://m.example/debian/ bookworm main'])).toBe('https://m.example/debian/')
  })
  test('ignores the security archive and comments', () =>
    expect(mirrorOf(['# deb http://no/debian x', 'URIs: http://s.example/debian-security'])).toBe(
      'http://deb.debian.org/debian',
    ))
})

describe('readProbe', () => {
  const result = { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, missing: false }
  test('an adapter after a chatty driver', () =>
    expect(readProbe({ ...result, stdout: 'hello\n{"kind":"software","name":"llvmpipe","features":[]}\n' })).toEqual({
      ok: true,
      adapter: { kind: 'software', name: 'llvmpipe' },
    }))
  test.each([
    [{ ...result, stdout: 'null\n' }, /no driver that Dawn accepts/],
    [{ ...result, stdout: 'null\n', stderr: 'libvulkan.so.1: cannot open shared object file' }, /no Vulkan loader/],
    [{ ...result, code: null, signal: 'SIGSEGV' }, /crashed \(SIGSEGV\)/],
    [{ ...result, timedOut: true }, /did not answer/],
    [{ ...result, code: 1, stderr: 'at x\nError: probe: wrong numbers' }, /wrong numbers/],
  ])('%o', (ended, why) => expect(readProbe(ended)).toMatchObject({ ok: false, why: expect.stringMatching(why) }))
})
