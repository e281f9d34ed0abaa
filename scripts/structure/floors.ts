/** What only the apps may do: read flags, clocks, the environment, paths of the machine. And what nobody may: random numbers without a key. */
import { expect, test } from 'vitest'
import { createLines, files, isTest, isTypeScript, memberOf, type Node, nodesOf, read } from './source.ts'

/** `file what` -> why it may. */
const exceptions: Readonly<Record<string, string>> = {
  'packages/agent/src/python-interpreter.ts process.env': 'Windows starts no process without SystemRoot',
  'packages/agent/src/python-process.ts process.argv':
    "the entry of the interpreter's own process: its settings come this way",
  'packages/agent/src/python-process.ts /home/agent':
    "the home folder that CPython sees: in the interpreter's own file system, in memory",
  'packages/kernels/src/webgpu/patience.ts performance.now':
    'only how long to sleep before waiting for a software driver; no result depends on it',
  'packages/agent/src/python-process.ts performance.now': 'CPython is given a clock that can be frozen',
}

/** Environment variables that the apps read. */
const environment: Readonly<Record<string, string>> = { AXPO_DEBUG: 'prints the stack of an error' }

const forbidden = new Set([
  'process.env',
  'process.argv',
  'process.cwd',
  'process.chdir',
  'process.exit',
  'process.hrtime',
  'performance.now',
  'performance.timeOrigin',
  'Date.now',
  'Math.random',
])
const pathFunctions = new Set(['homedir', 'tmpdir'])
const machinePath = /^\/(usr|etc|tmp|home|var|dev|opt|proc|root|mnt)(\/|$)/

/** A file without any of these has nothing to find. */
const suspicious = /process\b|performance\b|Date\b|Math\.random|homedir|tmpdir|['"`]\//

const isDate = (node: Node): boolean =>
  node.type === 'NewExpression' && (node.callee as Node).name === 'Date' && (node.arguments as unknown[]).length === 0

/** What a node does that only apps may do; null: nothing. */
function deed(node: Node): string | null {
  const member = memberOf(node)
  if (member !== null && forbidden.has(member)) return member
  if (isDate(node)) return 'new Date()'
  if (node.type === 'Identifier' && pathFunctions.has(String(node.name))) return String(node.name)
  if (node.type === 'Literal' && typeof node.value === 'string' && machinePath.test(node.value)) return node.value
  return null
}

function deedsIn(paths: readonly string[]): { readonly key: string; readonly line: number }[] {
  return paths.flatMap((path) =>
    nodesOf(path, suspicious).flatMap(({ node }) => {
      const what = deed(node)
      return what === null ? [] : [{ key: `${path} ${what}`, line: createLines(read(path))(node.start) }]
    }),
  )
}

const sourcesOf = (area: 'packages' | 'apps') =>
  files.filter((path) => path.startsWith(`${area}/`) && /\/src\//.test(path) && isTypeScript(path) && !isTest(path))

test('packages read no flags, clocks, environment or paths of the machine', () => {
  const deeds = deedsIn(sourcesOf('packages'))
  expect(deeds.filter(({ key }) => !(key in exceptions))).toEqual([])
  const done = new Set(deeds.map(({ key }) => key))
  expect(
    Object.keys(exceptions).filter((key) => !done.has(key)),
    'exceptions nobody needs any more',
  ).toEqual([])
})

test('apps read one environment variable, and no wall clock or unkeyed random number: a run is reproducible', () => {
  const sources = sourcesOf('apps')
  const wrong = /(process\.argv|Date\.now|new Date\(\)|Math\.random)$/
  expect(deedsIn(sources).filter(({ key }) => wrong.test(key))).toEqual([])
  const variables = sources.flatMap((path) =>
    [...read(path).matchAll(/process\.env\.(\w+)|process\.env(?!\.\w)/g)].map((m) => m[1] ?? 'all of it'),
  )
  expect([...new Set(variables)].sort()).toEqual(Object.keys(environment).sort())
})
