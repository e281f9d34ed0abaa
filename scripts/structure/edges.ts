/** The floors: which package may import which, and which outside packages the code stands on. Each edge has its reason; a new one needs one too. */
import { expect, test } from 'vitest'
import { files, importsOf, isTest, isTypeScript, manifestOf, packageFolders } from './source.ts'

/** package -> sibling -> why it may. What is missing is forbidden. */
const edges: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '@axpo/trajectory': {},
  '@axpo/kernels': {},
  '@axpo/advantage': {},
  '@axpo/model': {
    '@axpo/kernels': 'a model is an op list, run by an executor',
    '@axpo/trajectory': 'a sampler may be handed recorded tokens and images',
  },
  '@axpo/agent': { '@axpo/trajectory': 'a rollout is a trajectory' },
  '@axpo/tasks': { '@axpo/trajectory': 'graders may read a recorded answer' },
  '@axpo/policy': {
    '@axpo/trajectory': 'weights go on the tokens of segments',
    '@axpo/advantage': 'the arithmetic of the two streams',
  },
  '@axpo/eval': {
    '@axpo/kernels': 'opens the device',
    '@axpo/trajectory': 'writes and reads rollouts',
    '@axpo/model': 'loads the checkpoint',
    '@axpo/agent': 'plays the questions',
    '@axpo/policy': 'names the recipes in a table',
    '@axpo/tasks': 'the questions and their graders',
  },
  '@axpo/train': {
    '@axpo/kernels': 'describes the device',
    '@axpo/trajectory': 'writes and reads rollouts',
    '@axpo/advantage': 'loads the kernel that the policy is given',
    '@axpo/model': 'trains it',
    '@axpo/agent': 'plays the questions',
    '@axpo/policy': 'selection, weights, loss',
    '@axpo/tasks': 'the questions and demonstrations',
    '@axpo/eval': 'evaluates before and after, shares its flags and sessions',
  },
}

/** outside package -> who uses it, and why it is worth it. */
const runtimeDependencies: Readonly<Record<string, { readonly by: readonly string[]; readonly why: string }>> = {
  '@huggingface/jinja': { by: ['@axpo/model'], why: 'chat templates are Jinja programs' },
  '@huggingface/tokenizers': { by: ['@axpo/model'], why: 'tokenizer.json, as every model ships it' },
  '@modelcontextprotocol/sdk': {
    by: ['@axpo/agent'],
    why: 'the tools of any MCP server; loaded by @axpo/agent/mcp only',
  },
  ajv: { by: ['@axpo/agent'], why: 'tool arguments are checked against JSON Schema' },
  commander: { by: ['@axpo/eval', '@axpo/train'], why: 'flags, help and their errors' },
  'fast-png': {
    by: ['@axpo/agent', '@axpo/tasks', '@axpo/train'],
    why: "galleries and reports show pictures; tools and a user's questions bring some",
  },
  'jpeg-js': { by: ['@axpo/agent'], why: "tools and a user's questions bring JPEG files; no dependencies" },
  msgpackr: { by: ['@axpo/trajectory'], why: 'msgpack, the trajectory format' },
  pyodide: { by: ['@axpo/agent'], why: 'the python tool is CPython, without a Python installed' },
  webgpu: { by: ['@axpo/kernels'], why: 'Dawn: WebGPU under Node' },
  zod: { by: ['@axpo/train'], why: "a run folder's config is checked when it is resumed" },
}

/** Declared but imported nowhere: old debt, to be taken out of package.json. */
const unused: readonly string[] = [
  '@axpo/eval -> @axpo/policy',
  '@axpo/model -> @axpo/trajectory',
  '@axpo/policy -> @axpo/trajectory',
  '@axpo/tasks -> @axpo/trajectory',
]

const nameOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
const isOutside = (specifier: string): boolean => !/^(\.|#|node:)/.test(specifier)

interface Import {
  readonly path: string
  readonly to: string
}

const known = new Map<string, Import[]>()

function importsIn(folder: string): Import[] {
  const before = known.get(folder)
  if (before) return before
  const own = manifestOf(folder).name
  const found = files
    .filter((path) => path.startsWith(`${folder}/`) && (isTypeScript(path) || path.endsWith('.mjs')))
    .flatMap((path) =>
      importsOf(path)
        .filter(isOutside)
        .map((to) => ({ path, to: nameOf(to) })),
    )
    .filter(({ to }) => to !== own)
  known.set(folder, found)
  return found
}

test('every package has its row', () => {
  expect(packageFolders.map((folder) => manifestOf(folder).name).sort()).toEqual(Object.keys(edges).sort())
})

test('the ground floor imports no sibling, the upper floor never one of its own', () => {
  const floors = [
    ['@axpo/kernels', '@axpo/trajectory', '@axpo/advantage'],
    ['@axpo/model', '@axpo/agent', '@axpo/policy', '@axpo/tasks'],
  ]
  for (const floor of floors)
    for (const name of floor)
      expect(
        Object.keys(edges[name]!).filter((to) => floor.includes(to)),
        name,
      ).toEqual([])
})

test.each(packageFolders)('%s: siblings, declared and imported, are allowed', (folder) => {
  const { name, dependencies = {}, devDependencies = {} } = manifestOf(folder)
  const allowed = edges[name]!
  const siblings = (record: object) => Object.keys(record).filter((to) => to.startsWith('@axpo/'))
  expect(siblings({ ...dependencies, ...devDependencies }).filter((to) => !(to in allowed))).toEqual([])
  const crossing = importsIn(folder).filter(({ to }) => to.startsWith('@axpo/') && !(to in dependencies))
  expect(crossing).toEqual([])
})

test.each(packageFolders)(
  '%s: what it imports from outside is declared, in dependencies where the code itself needs it',
  (folder) => {
    const { dependencies = {}, devDependencies = {} } = manifestOf(folder)
    // declared once, at the root
    const tools = ['vitest', 'fast-check', 'assemblyscript', '@webgpu/types']
    const bad = importsIn(folder).filter(({ path, to }) => {
      const ships = path.startsWith(`${folder}/src/`) && !isTest(path)
      return !(to in dependencies) && (ships || !(to in devDependencies || tools.includes(to)))
    })
    // a conformance suite is shipped code that tests call
    expect(bad.filter(({ path, to }) => !(path.endsWith('/conformance.ts') && tools.includes(to)))).toEqual([])
  },
)

test('runtime dependencies are the list above, each used by whom it says', () => {
  const declared: Record<string, string[]> = {}
  for (const folder of packageFolders) {
    const { name, dependencies = {} } = manifestOf(folder)
    for (const to of Object.keys(dependencies))
      if (!to.startsWith('@axpo/')) declared[to] = [...(declared[to] ?? []), name].sort()
  }
  const listed = Object.entries(runtimeDependencies).map(([name, { by }]) => [name, [...by].sort()])
  expect(declared).toEqual(Object.fromEntries(listed))
})

test('a declared dependency is imported by the code', () => {
  const idle = packageFolders.flatMap((folder) => {
    const { name, dependencies = {} } = manifestOf(folder)
    const imported = new Set(importsIn(folder).map(({ to }) => to))
    // pyodide is found by its path: it runs in a process of its own
    return Object.keys(dependencies)
      .filter((to) => !imported.has(to) && to !== 'pyodide')
      .map((to) => `${name} -> ${to}`)
  })
  expect(idle.sort()).toEqual([...unused].sort())
})
