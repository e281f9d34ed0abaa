import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { mirrorOf, planApt } from './apt.mjs'
import { readProbe, search } from './vulkan.mjs'

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

describe.skipIf(process.platform === 'win32')('search: what a probe says decides, in this order', () => {
  const folder = mkdtempSync(join(tmpdir(), 'axpo-vulkan-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  /** Stands in for Node: answers every probe with the same line. */
  const probing = (adapter: { kind: string; name: string } | null): string => {
    const path = join(folder, `node-${adapter?.kind}`)
    writeFileSync(path, `#!/bin/sh\necho '${JSON.stringify(adapter)}'\n`)
    chmodSync(path, 0o755)
    return path
  }
  // offline: nothing is fetched or installed, whoever runs this
  const context = () => ({ offline: true, say: () => {}, missing: [] as string[], env: {} })
  const gpu = probing({ kind: 'gpu', name: 'RTX' })
  const software = probing({ kind: 'software', name: 'llvmpipe' })
  const nothing = probing(null)

  test.each(['gpu', 'any'] as const)('a real GPU, whether a software one would do or not (%s)', async (want) =>
    expect(await search(context(), gpu, want, undefined)).toEqual({
      kind: 'gpu',
      name: 'RTX',
      source: 'system',
      env: {},
      reason: 'this system has it',
    }),
  )
  test('an installed software driver, where that is enough', async () =>
    expect(await search(context(), software, 'any', undefined)).toMatchObject({ kind: 'software', source: 'system' }))
  test('only a software driver is no GPU: said so, nothing installed', async () =>
    expect(await search(context(), software, 'gpu', undefined)).toMatchObject({
      kind: 'none',
      reason: 'only the software adapter llvmpipe',
    }))
  test('nothing at all, offline: every path is named with its reason', async () => {
    const looked = context()
    expect(await search(looked, nothing, 'any', undefined)).toMatchObject({ kind: 'none' })
    expect(looked.missing).toHaveLength(1)
    expect(looked.missing[0]).toMatch(/^a WebGPU adapter \(system: .*; apt: .*; SwiftShader: .*\)$/)
  })
  test('held to one path: that one only, and an error that says how to go on', async () =>
    await expect(search({ ...context(), offline: false }, nothing, 'any', 'system')).rejects.toThrow(
      /a WebGPU adapter is needed, got none: system: .*--device cpu/,
    ))
})
