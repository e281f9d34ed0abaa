// The part of the Python peers that fits into the pack: transformers with Qwen3-VL, and what it imports besides PyTorch and numpy, which must be there.
// TRL does not fit (its data sets need Arrow): it is compared where it is installed.
// @ts-check
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT } from '../setup/context.mjs'
import { run, SetupError } from '../setup/process.mjs'

const PACKAGES = [
  'transformers',
  'tokenizers',
  'safetensors',
  'huggingface_hub',
  'regex',
  'yaml',
  'tqdm',
  'filelock',
  'packaging',
  'fsspec',
  'httpx2',
  'httpcore2',
  'h11',
  'anyio',
  'idna',
  'truststore',
  'typing_extensions.py',
]
/** Packages look up each other's versions, and their own: of these folders METADATA says it. */
const ABOUT = /^([^/]+)-[^-/]+\.dist-info$/
const MODELS = new Set(['auto', 'encoder_decoder', 'qwen2', 'qwen2_vl', 'qwen3_vl'])

/** @param {string} path relative to site-packages */
function wanted(path) {
  const parts = path.split(/[/\\]/)
  // yaml reads without its compiled part too
  if (parts[0]?.endsWith('.dist-info')) return parts.length === 1 || parts[1] === 'METADATA'
  if (parts[0] === 'regex' && parts[1] === 'tests') return false
  if (parts.includes('__pycache__') || parts.at(-1)?.startsWith('_yaml.')) return false
  const model = parts[0] === 'transformers' && parts[1] === 'models' ? parts[2] : undefined
  return model === undefined || model.endsWith('.py') || MODELS.has(model)
}

/** @param {string} peers where `npm run bench:peers` installs  @returns {string | null} its site-packages */
function findSitePackages(peers) {
  const pins = readFileSync(join(ROOT, 'benchmarks', 'peers', 'requirements.txt'))
  const hash = createHash('sha256').update(pins).digest('hex').slice(0, 12)
  const lib = join(peers, `python-${hash}`, 'lib')
  if (!existsSync(lib)) return null
  const version = readdirSync(lib).find((name) => name.startsWith('python3.'))
  return version ? join(lib, version, 'site-packages') : null
}

/**
 * The one compiled part that is of a Python version and not of all: replaced by that of the version there.
 * @param {string} from site-packages  @param {string} target  @param {string} version as 3.12
 */
async function replaceCompiled(from, target, version) {
  const about = readdirSync(from).find((name) => /^regex-.*\.dist-info$/.test(name))
  const pin = `regex==${about?.match(ABOUT)?.[0].slice('regex-'.length, -'.dist-info'.length)}`
  const python = join(from, '..', '..', '..', 'bin', 'python')
  rmSync(join(target, 'regex'), { recursive: true })
  const what = ['--quiet', '--no-deps', '--only-binary', ':all:', '--python-version', version, '--target', target, pin]
  const { code, stderr } = await run(python, ['-m', 'pip', 'install', '--upgrade', ...what], {})
  if (code !== 0) throw new SetupError(`pack: ${pin} for Python ${version} must install, got ${stderr.trim()}`)
}

/**
 * @param {string} peers  @param {string} target
 * @param {string} [there] Python's version on the other machine, as 3.12; default that of the peers
 * @returns {Promise<string>} a line for people
 */
export async function copyPython(peers, target, there) {
  const from = findSitePackages(peers)
  mkdirSync(target, { recursive: true })
  if (!from)
    return `without transformers: no peers of this version in ${peers}. npm run bench:peers -- --only python --quick installs them.`
  const about = [...PACKAGES.map((name) => name.replace(/\.py$/, '')), 'pyyaml']
  const names = readdirSync(from).filter(
    (name) => PACKAGES.includes(name) || about.includes(name.match(ABOUT)?.[1]?.toLowerCase() ?? ''),
  )
  for (const name of names)
    cpSync(join(from, name), join(target, name), {
      recursive: true,
      filter: (file) => wanted(relative(from, file)),
    })
  const own = from.match(/python(3\.\d+)/)?.[1]
  const version = there ?? own
  if (version && version !== own) await replaceCompiled(from, target, version)
  return `with transformers and what it needs, compiled parts for Python ${version}; a PyTorch that is there uses them where it has none of its own`
}
