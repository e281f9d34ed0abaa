// Installing a software Vulkan driver that Dawn accepts, on Debian and Ubuntu, as root.
// Debian 12's own Mesa (22.3) is refused by Dawn; the one in its backports (25.0) works.
// Undo: apt-get remove mesa-vulkan-drivers && rm /etc/apt/sources.list.d/axpo-backports.sources
// @ts-check
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from './context.mjs'
import { explainFailure, run } from './process.mjs'

/** @typedef {import('./context.mjs').Context} Context */

const SOURCES = '/etc/apt/sources.list.d'
const OWN_SOURCE = join(SOURCES, 'axpo-backports.sources')
const DRIVER = 'mesa-vulkan-drivers'
/** The loader of any release will do. */
const PACKAGES = [DRIVER, 'libvulkan1']

/**
 * @typedef {{ ok: true, backports: string | null } | { ok: false, why: string }} AptPlan
 * backports: the suite to add, null where the system's own packages will do
 */

/**
 * @param {{ platform: string, uid: number, apt: boolean, osRelease: string }} machine
 * @returns {AptPlan}
 */
export function planApt(machine) {
  if (machine.platform !== 'linux' || !machine.apt) return { ok: false, why: 'no apt on this system' }
  if (machine.uid !== 0) return { ok: false, why: 'not root' }
  const field = (/** @type {string} */ name) =>
    (new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(machine.osRelease)?.[1] ?? '').toLowerCase()
  const id = field('ID')
  const version = Number.parseFloat(field('VERSION_ID'))
  if (id === 'debian' && version === 12)
    return { ok: true, backports: `${field('VERSION_CODENAME') || 'bookworm'}-backports` }
  if (id === 'debian' && version < 12) return { ok: false, why: `Debian ${version} has no Mesa that Dawn accepts` }
  if (id === 'debian' || id === 'ubuntu') return { ok: true, backports: null }
  return { ok: false, why: `${id || 'an unknown system'} is not one we know apt package names for` }
}

/** @returns {AptPlan} for this machine */
export function planAptHere() {
  return planApt({
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    apt: existsSync('/usr/bin/apt-get'),
    osRelease: existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
  })
}

/**
 * @param {Context} context
 * @param {string | null} backports
 * @returns {Promise<string | null>} why it failed; null where the driver is installed
 */
export async function installMesa(context, backports) {
  const env = { ...context.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }
  const apt = (/** @type {string[]} */ args) =>
    run('apt-get', ['-qq', '-y', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2', ...args], {
      env,
      timeoutMs: 400_000,
    })
  const added = backports !== null && !knowsSuite(backports)
  try {
    if (added) writeFileSync(OWN_SOURCE, backportsSource(backports))
  } catch (error) {
    return `${OWN_SOURCE} must be writable, got ${messageOf(error)}`
  }
  context.say(
    `installing ${PACKAGES.join(', ')}${backports ? ` from ${backports}` : ''} (apt, as root; AXPO_ADAPTER=swiftshader avoids it)`,
  )
  const lists = hasLists() && added ? updateOnly(OWN_SOURCE) : []
  const updated = await apt([...lists, 'update'])
  const chosen = backports ? [`${DRIVER}/${backports}`, 'libvulkan1'] : PACKAGES
  let installed =
    updated.code === 0 ? await apt(['install', '--no-install-recommends', '--no-remove', ...chosen]) : updated
  if (updated.code === 0 && installed.code !== 0) {
    const full = await apt(['update'])
    const suite = backports ? ['-t', backports] : []
    installed =
      full.code === 0 ? await apt(['install', '--no-install-recommends', '--no-remove', ...suite, ...PACKAGES]) : full
  }
  if (installed.code === 0) return null
  if (added) rmSync(OWN_SOURCE, { force: true })
  return explainFailure('apt-get', installed)
}

/** Refreshes one source file and leaves every other list as it is. */
function updateOnly(/** @type {string} */ file) {
  return ['-o', `Dir::Etc::SourceList=${file}`, '-o', 'Dir::Etc::SourceParts=-', '-o', 'APT::Get::List-Cleanup=0']
}

/** A fresh container image has no package lists at all. */
function hasLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some(
      (name) => name.endsWith('_Packages') || name.endsWith('_Packages.lz4'),
    )
  } catch {
    return false
  }
}

/** The sources that apt reads, less our own. */
function readSources() {
  const files = ['/etc/apt/sources.list']
  try {
    for (const name of readdirSync(SOURCES)) if (/\.(list|sources)$/.test(name)) files.push(join(SOURCES, name))
  } catch {}
  return files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8'))
}

function knowsSuite(/** @type {string} */ suite) {
  return readSources().some((text) =>
    text.split('\n').some((line) => !line.startsWith('#') && line.split(/\s+/).includes(suite)),
  )
}

/** The mirror this system already uses, so that a site's own mirror or proxy serves the backports too. */
export function mirrorOf(/** @type {string[]} */ sources) {
  for (const line of sources.flatMap((text) => text.split('\n'))) {
    const uri = /^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(https?:\/\/\S+)/.exec(line)?.[1]
    if (uri && /\/debian\/?$/.test(uri)) return uri
  }
  return 'http://deb.debian.org/debian'
}

function backportsSource(/** @type {string} */ suite) {
  return [
    '# Added by the AXPO set-up for mesa-vulkan-drivers, which WebGPU (Dawn) needs newer than this release has it.',
    '# Backports are used for no other package unless asked. Safe to delete.',
    'Types: deb',
    `URIs: ${mirrorOf(readSources())}`,
    `Suites: ${suite}`,
    'Components: main',
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
    '',
  ].join('\n')
}
