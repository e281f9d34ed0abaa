// What the set-up must know of a command line before the command itself can run: --offline, and which device.
// Not here: the command line's own rules, which the command checks (apps/train/src/main.ts).
// @ts-check

/**
 * @typedef {object} Peeked
 * @property {boolean} offline
 * @property {'none' | 'gpu' | 'any'} adapter   what the set-up has to find
 * @property {string[]} rest                    the arguments less --offline
 */

/** Commands that compute on a device; others need no adapter. */
const ON_DEVICE = new Set(['start', 'sft', 'train', 'eval', 'doctor', 'suite'])

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env  `npm start --offline` (no --) arrives here only
 * @returns {Peeked}
 */
export function peekArguments(command, args, env) {
  const offline = args.includes('--offline') || env.npm_config_offline === 'true'
  const rest = args.filter((arg) => arg !== '--offline')
  return { offline, adapter: adapterFor(command, rest), rest }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @returns {Peeked['adapter']}
 */
function adapterFor(command, args) {
  if (args.includes('--help') || args.includes('-h') || !ON_DEVICE.has(command)) return 'none'
  if (command === 'suite' && args[0] === 'show') return 'none'
  const index = args.indexOf('--device')
  const device =
    index >= 0 ? args[index + 1] : args.find((arg) => arg.startsWith('--device='))?.slice('--device='.length)
  if (device === 'webgpu') return 'any'
  return device === 'cpu' ? 'none' : 'gpu'
}
