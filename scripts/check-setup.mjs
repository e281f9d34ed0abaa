#!/usr/bin/env node
// `npm run check:setup`: tries the set-up for real, in fresh copies of this repository: as this user, as one without
// root, again, without network, from nothing offline, on a full disk, and each way to an adapter. Prints a table.
// Needs Linux and the network; with root it tries all, without root it says what it left out. About 2 minutes, 2 GB.
// Installs mesa-vulkan-drivers with apt where it is root, as the set-up itself does. Removes its copies, nothing else.
// @ts-check
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './setup/context.mjs'
import { run, SetupError } from './setup/process.mjs'
import { runMain } from './setup.mjs'

/** `nobody`: no home, no rights. */
const NOBODY_ID = '65534'
const SECOND_RUN_LIMIT_S = 3

/**
 * @typedef {object} Trial
 * @property {string} name
 * @property {'user' | 'nobody' | 'bare' | 'small'} copy   which copy of the repository it runs in
 * @property {string[]} args           of scripts/setup.mjs
 * @property {Record<string, string>} [env]
 * @property {boolean} [noNetwork]     in a network namespace of its own: needs root
 * @property {RegExp} says             what the last line must say
 * @property {number} [code]           expected exit code, 0
 * @property {number} [limitS]
 */

/** A path to no driver file: the machine looks as if it had no Vulkan driver at all. */
const NO_DRIVER = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' }
const SWIFTSHADER = { AXPO_ADAPTER: 'swiftshader' }

/** @type {Trial[]} */
const TRIALS = [
  { name: 'fresh copy, adapter wanted', copy: 'user', args: ['--adapter'], says: /ready: .*(GPU|software adapter) \S/ },
  { name: 'again', copy: 'user', args: ['--adapter'], says: /ready: /, limitS: SECOND_RUN_LIMIT_S },
  {
    name: 'adapter through apt',
    copy: 'user',
    args: ['--adapter'],
    env: { AXPO_ADAPTER: 'apt' },
    says: /llvmpipe.*apt/,
  },
  {
    name: 'adapter through npm',
    copy: 'user',
    args: ['--adapter'],
    env: SWIFTSHADER,
    says: /SwiftShader.*npm registry/,
  },
  {
    name: 'no network, once installed',
    copy: 'user',
    args: [],
    noNetwork: true,
    says: /ready: /,
    limitS: SECOND_RUN_LIMIT_S,
  },
  { name: 'the same, --offline', copy: 'user', args: ['--offline', '--adapter'], noNetwork: true, says: /ready: / },
  {
    name: 'nothing installed, --offline',
    copy: 'bare',
    args: ['--offline', '--adapter'],
    says: /needs everything installed[\s\S]*- the dependencies/,
    code: 1,
  },
  {
    name: 'nothing installed, no network',
    copy: 'bare',
    args: [],
    noNetwork: true,
    says: /registry could not be reached/,
    code: 1,
  },
  { name: 'full disk (64 MB)', copy: 'small', args: [], says: /needs \d+ MB free, got \d+ MB/, code: 1 },
  { name: 'no root, no home, no driver', copy: 'nobody', args: ['--adapter'], env: NO_DRIVER, says: /SwiftShader/ },
  {
    name: 'no root, again',
    copy: 'nobody',
    args: ['--adapter'],
    env: NO_DRIVER,
    says: /SwiftShader/,
    limitS: SECOND_RUN_LIMIT_S,
  },
  {
    name: "no root, the system's driver",
    copy: 'nobody',
    args: ['--adapter'],
    says: /ready: .*(GPU|software adapter) \S/,
  },
]

const isRoot = process.getuid?.() === 0

/**
 * @param {string} folder
 * @returns {(trial: Trial) => Promise<string[]>} runs a trial, gives its row of the table
 */
function createRunner(folder) {
  const made = new Set()
  return async (trial) => {
    const needsRoot =
      trial.noNetwork || trial.copy === 'nobody' || trial.copy === 'small' || trial.env?.AXPO_ADAPTER === 'apt'
    if (needsRoot && !isRoot) return [trial.name, 'LEFT OUT', '', 'needs root to try']
    const home = join(folder, trial.copy)
    if (!made.has(trial.copy)) createCopy(home, trial.copy)
    made.add(trial.copy)
    const prefix = [
      ...(trial.noNetwork ? ['unshare', '-n'] : []),
      ...(trial.copy === 'nobody' ? ['setpriv', '--reuid', NOBODY_ID, '--regid', NOBODY_ID, '--clear-groups'] : []),
    ]
    const [command = '', ...args] = [...prefix, process.execPath, join(home, 'scripts', 'setup.mjs'), ...trial.args]
    const env = { ...process.env, ...homeFor(trial, folder), AXPO_ADAPTER: '', ...trial.env }
    const startMs = performance.now()
    const result = await run(command, args, { cwd: home, env })
    const seconds = (performance.now() - startMs) / 1000
    const verdict = judge(trial, result, seconds)
    return [trial.name, verdict, seconds.toFixed(1), lastLine(result.stderr)]
  }
}

/** A bare trial must not live off this user's package caches. */
function homeFor(/** @type {Trial} */ trial, /** @type {string} */ folder) {
  if (trial.copy === 'nobody') return { HOME: '/nonexistent' }
  if (trial.copy === 'user') return {}
  mkdirSync(join(folder, 'home'), { recursive: true })
  return { HOME: join(folder, 'home'), npm_config_cache: join(folder, 'home', '.npm') }
}

/**
 * The tracked and the new files of this repository, no installed ones.
 * @param {string} to
 * @param {Trial['copy']} kind
 */
function createCopy(to, kind) {
  mkdirSync(to, { recursive: true })
  if (kind === 'small') execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', to])
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  for (const file of listed.toString().split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    cpSync(join(ROOT, file), join(to, file))
  }
  if (kind === 'nobody') execFileSync('chown', ['-R', `${NOBODY_ID}:${NOBODY_ID}`, to])
}

/**
 * @param {Trial} trial
 * @param {import('./setup/process.mjs').RunResult} result
 * @param {number} seconds
 */
function judge(trial, result, seconds) {
  if (result.code !== (trial.code ?? 0)) return `FAILED (exit ${result.code ?? result.signal})`
  if (!trial.says.test(result.stderr)) return 'FAILED (said otherwise)'
  if (trial.limitS !== undefined && seconds > trial.limitS) return `FAILED (over ${trial.limitS} s)`
  return 'ok'
}

/** The line that tells the end: the last one of ours. */
function lastLine(/** @type {string} */ text) {
  const lines = text.split('\n').filter((line) => line.startsWith('axpo: '))
  return (lines[lines.length - 1] ?? text.trim().split('\n').pop() ?? '').replace('axpo: ', '').slice(0, 140)
}

await runMain(async () => {
  if (process.platform !== 'linux')
    throw new SetupError(`check-setup: runs on Linux, got ${process.platform}. Use a Linux machine.`)
  const folder = mkdtempSync(join(tmpdir(), 'axpo-check-'))
  execFileSync('chmod', ['755', folder])
  const runTrial = createRunner(folder)
  let bad = 0
  try {
    process.stdout.write(`| path | result | seconds | said |\n| --- | --- | --- | --- |\n`)
    for (const trial of TRIALS) {
      const row = await runTrial(trial)
      if (row[1]?.startsWith('FAILED')) bad++
      process.stdout.write(`| ${row.join(' | ')} |\n`)
    }
  } finally {
    if (isRoot) await run('umount', [join(folder, 'small')])
    rmSync(folder, { recursive: true, force: true })
  }
  process.stdout.write(`${TRIALS.length} paths, ${bad} failed\n`)
  return bad === 0 ? 0 : 1
})
