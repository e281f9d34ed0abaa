import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { peekArguments } from './arguments.mjs'
import { createEnv } from './context.mjs'
import { hashFiles, listFiles, listPackages, readStamp, writeStamp } from './fingerprint.mjs'
import { launch } from './launch.mjs'
import { explainFailure, run } from './process.mjs'
import { closingLine, summarise } from './summary.mjs'
import { isNodeEnough } from './toolchain.mjs'

const folder = mkdtempSync(join(tmpdir(), 'axpo-setup-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('peekArguments', () => {
  test.each([
    ['start', [], 'gpu'],
    ['start', ['--device', 'webgpu'], 'any'],
    ['train', ['--device=webgpu', '--steps', '3'], 'any'],
    ['eval', ['--device', 'cpu'], 'none'],
    ['doctor', ['--device', 'auto'], 'gpu'],
    ['train', ['--help'], 'none'],
    ['suite', ['calibrate'], 'gpu'],
    ['suite', ['show', '--count', '2'], 'none'],
    ['', [], 'none'],
  ])('%s %j looks for %s', (command, args, adapter) => expect(peekArguments(command, args, {}).adapter).toBe(adapter))

  test('--offline is taken out, wherever it stands', () =>
    expect(peekArguments('start', ['--seed', '1', '--offline', '--x'], {})).toMatchObject({
      offline: true,
      rest: ['--seed', '1', '--x'],
    }))
  test('npm start --offline, without the dashes between', () =>
    expect(peekArguments('start', [], { npm_config_offline: 'true' }).offline).toBe(true))
})

describe('createEnv', () => {
  test("drops what npm says of its own run, keeps the user's settings", () =>
    expect(
      createEnv(
        { HOME: '/h', npm_lifecycle_event: 'start', npm_config_local_prefix: '/x', npm_config_registry: 'r' },
        '/h',
      ),
    ).toEqual({
      HOME: '/h',
      npm_config_registry: 'r',
      TURBO_TELEMETRY_DISABLED: '1',
      npm_config_update_notifier: 'false',
    }))
  test('a HOME of our own takes the caches along', () => {
    const env = createEnv({ HOME: '/nonexistent' }, '/own')
    expect(env).toMatchObject({ HOME: '/own', npm_config_cache: '/own/.npm', XDG_DATA_HOME: '/own/.local/share' })
  })
})

describe('stamps', () => {
  test('hold for the same bytes only', () => {
    mkdirSync(join(folder, 'packages/a/src'), { recursive: true })
    mkdirSync(join(folder, 'packages/a/build'), { recursive: true })
    writeFileSync(join(folder, 'packages/a/package.json'), '{}')
    writeFileSync(join(folder, 'packages/a/src/x.as.ts'), '1')
    writeFileSync(join(folder, 'packages/a/build/y.as.ts'), '1')
    expect(listPackages(folder)).toEqual([join('packages', 'a')])
    const inputs = listFiles(folder, 'packages/a', (path) => path.endsWith('.as.ts'))
    expect(inputs).toEqual([join('packages', 'a', 'src', 'x.as.ts')])
    const before = hashFiles(folder, inputs)
    expect(hashFiles(folder, inputs)).toBe(before)
    writeFileSync(join(folder, 'packages/a/src/x.as.ts'), '2')
    expect(hashFiles(folder, inputs)).not.toBe(before)
    expect(hashFiles(folder, [...inputs, 'gone'])).not.toBe(hashFiles(folder, inputs))
  })
  test('are read under their own key only, and a torn one is none', () => {
    const path = join(folder, 'sub', 'stamp.json')
    writeStamp(path, 'k', { outputs: { a: 1 } })
    expect(readStamp(path, 'k')).toEqual({ key: 'k', outputs: { a: 1 } })
    expect(readStamp(path, 'other')).toBeNull()
    writeFileSync(path, '{"key": "k')
    expect(readStamp(path, 'k')).toBeNull()
  })
})

describe('run and launch', () => {
  const node = process.execPath
  test('captures output and the exit code', async () =>
    expect(await run(node, ['-e', 'console.log(1); console.error(2); process.exit(3)'])).toMatchObject({
      code: 3,
      stdout: '1\n',
      stderr: '2\n',
    }))
  test('a missing program is a value', async () => expect((await run('/no/such', [])).missing).toBe(true))
  test('a hanging program is stopped', async () => {
    const result = await run(node, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 300 })
    expect(result).toMatchObject({ timedOut: true, signal: 'SIGTERM' })
  })
  test('exit codes pass through, a signal as 128 + n', async () => {
    expect(await launch(node, ['-e', 'process.exit(7)'], { env: process.env })).toBe(7)
    expect(await launch(node, ['-e', 'process.kill(process.pid, "SIGKILL")'], { env: process.env })).toBe(137)
  })
  test('Ctrl-C reaches the child once, however often it is passed on', async () => {
    const count = `let n = 0; process.on('SIGINT', () => { n++; setTimeout(() => process.exit(10 + n), 400) }); setInterval(() => {}, 1000); process.kill(process.ppid, 'SIGUSR2')`
    const url = new URL('./launch.mjs', import.meta.url).href
    const parent = `import { launch } from ${JSON.stringify(url)}
      process.on('SIGUSR2', () => { process.kill(process.pid, 'SIGINT'); setTimeout(() => process.kill(process.pid, 'SIGINT'), 50) })
      process.exit(await launch(process.execPath, ['-e', ${JSON.stringify(count)}], { env: process.env }))`
    expect((await run(node, ['--input-type=module', '-e', parent], { timeoutMs: 20_000 })).code).toBe(11)
  })
})

describe('explainFailure', () => {
  const failed = { code: 1, signal: null, stdout: '', stderr: '', timedOut: false, missing: false }
  test.each([
    ['npm error code EAI_AGAIN', /registry could not be reached/],
    ['npm error code ENOSPC', /disk is full/],
    ['npm error code EACCES', /could not be written/],
    ['ERR_PNPM_FROZEN_LOCKFILE_WITH_OUTDATED_LOCKFILE', /npm run lock/],
    ['npm error code E404', /pinned version/],
    ['something else', /must end with exit code 0, got exit code 1/],
  ])('%s', (stderr, told) => expect(explainFailure('step', { ...failed, stderr })).toMatch(told))
  test('no such program', () => expect(explainFailure('step', { ...failed, missing: true })).toMatch(/Install npm/))
})

describe('summarise', () => {
  const file = (name: string, status: string, tests: [string, string, string?][], message = '') => ({
    name,
    status,
    message,
    assertionResults: tests.map(([fullName, testStatus, note = '']) => ({ fullName, status: testStatus, note })),
  })
  test('counts, names what was skipped or failed, and a file that broke is a failure', () => {
    const summary = summarise(
      {
        testResults: [
          file('/r/a.test.ts', 'passed', [
            ['one', 'passed'],
            ['two', 'skipped', 'no GPU'],
            ['three', 'todo'],
          ]),
          file('/r/b.test.ts', 'failed', [
            ['four', 'failed'],
            ['five', 'passed'],
          ]),
          file('/r/c.test.ts', 'failed', [], 'SyntaxError: x\nmore'),
          file('/r/d.test.ts', 'failed', [['six', 'pending']]),
        ],
      },
      '/r',
    )
    expect(closingLine(summary)).toBe('2 passed, 3 failed, 2 skipped')
    expect(summary.skipped).toEqual(['a.test.ts: two: no GPU', 'a.test.ts: three: no reason given'])
    expect(summary.failed[2]).toMatch(/^d.test.ts: six: did not end/)
    expect(summary.failed[1]).toBe('c.test.ts: the file did not load or end (SyntaxError: x)')
  })
})

test('Node is enough from 22.18 on', () => {
  expect(['20.20.2', '22.17.9', '22.18.0', '24.0.0'].map(isNodeEnough)).toEqual([false, false, true, true])
})
