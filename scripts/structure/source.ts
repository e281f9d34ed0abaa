/** The project's own files and their syntax trees, for the structure tests. Not here: any rule. Paths are relative to the root, with forward slashes. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'vitest/node'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** Made, installed or recorded: not written by hand. */
const notOurs = new Set([
  'node_modules',
  'build',
  'dist',
  'runs',
  'golden',
  'goldens',
  'checkpoints',
  '.git',
  '.axpo',
  '.turbo',
])

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (notOurs.has(entry.name) || entry.isSymbolicLink()) return []
    // README examples run in folders of this name, for a moment
    if (entry.isDirectory() && entry.name.startsWith('example-')) return []
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    return entry.isDirectory() ? walk(path) : [path]
  })
}

export const files: readonly string[] = walk('').sort()

const texts = new Map<string, string>()

export function read(path: string): string {
  const text = texts.get(path) ?? readFileSync(join(root, path), 'utf8')
  texts.set(path, text)
  return text
}

/** The packages and apps, as `packages/name`. */
export const packageFolders: readonly string[] = files.flatMap((path) =>
  /^(packages|apps)\/[^/]+\/package\.json$/.test(path) ? [path.slice(0, -'/package.json'.length)] : [],
)

export interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export const manifestOf = (folder: string): Manifest => JSON.parse(read(`${folder}/package.json`)) as Manifest

/** Tests and what only tests use: they may do what the code may not. */
export const isTest = (path: string): boolean => /\.(test|fixture|conformance)\.ts$/.test(path)
/** AssemblyScript: TypeScript's syntax but for decorators on functions. */
export const isAssemblyScript = (path: string): boolean => /\.as\.ts$|\/assembly\//.test(path)
export const isTypeScript = (path: string): boolean => path.endsWith('.ts') && !isAssemblyScript(path)

export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string'

export interface Placed {
  readonly node: Node
  readonly parent: Node | null
}

const nodes = new Map<string, readonly Placed[]>()

function flatten(tree: Node): Placed[] {
  const found: Placed[] = [{ node: tree, parent: null }]
  for (let i = 0; i < found.length; i++) {
    const { node } = found[i]!
    for (const field in node) {
      const value = node[field]
      if (Array.isArray(value)) for (const item of value) isNode(item) && found.push({ node: item, parent: node })
      else if (isNode(value)) found.push({ node: value, parent: node })
    }
  }
  return found
}

/** Every node of a file, parents before children. Only for files whose text has `needle`: the others are not parsed. */
export function nodesOf(path: string, needle?: RegExp): readonly Placed[] {
  let found = nodes.get(path)
  if (!found) {
    const text = read(path)
    if (needle && !needle.test(text)) return []
    found = flatten(
      parseAst(text, { lang: path.endsWith('.mjs') ? 'js' : path.endsWith('.d.ts') ? 'dts' : 'ts' }) as unknown as Node,
    )
    nodes.set(path, found)
  }
  return found
}

const textOf = (node: unknown): string | null =>
  isNode(node) && node.type === 'Literal' && typeof node.value === 'string' ? node.value : null

/** What a file imports, types included: `import`, `export from`, `import()` and import types. */
export function importsOf(path: string): string[] {
  const found: string[] = []
  for (const { node } of nodesOf(path)) {
    if (/^(Import|ExportNamed|ExportAll)Declaration$|^ImportExpression$|^TSImportType$/.test(node.type)) {
      const source = textOf(node.source) ?? textOf(node.argument)
      if (source !== null) found.push(source)
    }
  }
  return found
}

/** `object.property` as written, for a plain member access; else null. */
export function memberOf(node: Node): string | null {
  if (node.type !== 'MemberExpression' || node.computed === true) return null
  const { object, property } = node
  return isNode(object) && isNode(property) && object.type === 'Identifier' ? `${object.name}.${property.name}` : null
}

/** From an offset to its one-based line. */
export function createLines(text: string): (offset: number) => number {
  const breaks = [...text.matchAll(/\n/g)].map((m) => m.index)
  return (offset) => {
    let [low, high] = [0, breaks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (breaks[middle]! < offset) low = middle + 1
      else high = middle
    }
    return low + 1
  }
}
