/**
 * Sizes, kept by a ratchet: what is too big today stands in debts.json with its size and may only shrink; new debt fails. When a debt is paid, its line must go.
 */
import { describe, expect, test } from 'vitest'
import debts from './debts.json' with { type: 'json' }
import { createLines, files, isAssemblyScript, isTest, isTypeScript, type Node, nodesOf, read } from './source.ts'

const fileLines = 500
const wgslLines = 150
const functionLines = 70

type Sizes = Readonly<Record<string, number>>

const countLines = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0)

/** Everything above the limit, less what the debts allow; and debts that are no debts any more. */
function broken(sizes: Sizes, limit: number, allowed: Sizes): string[] {
  const grown = Object.entries(sizes).flatMap(([name, size]) =>
    size > (allowed[name] ?? limit) ? [`${name}: ${size} lines, at most ${allowed[name] ?? limit}`] : [],
  )
  const paid = Object.keys(allowed).flatMap((name) =>
    (sizes[name] ?? 0) <= limit
      ? [`${name}: ${sizes[name] ?? 0} lines, within ${limit}: delete it from debts.json`]
      : [],
  )
  return [...grown, ...paid]
}

const code = files.filter((path) => /\.(ts|mjs)$/.test(path))

test(`files: at most ${fileLines} lines`, () => {
  const sizes = Object.fromEntries(code.map((path) => [path, countLines(read(path))]))
  expect(broken(sizes, fileLines, debts.fileLines)).toEqual([])
})

test(`WGSL: at most ${wgslLines} lines`, () => {
  const shaders = files.filter((path) => path.endsWith('.wgsl'))
  expect(shaders.length).toBeGreaterThan(20)
  const sizes = Object.fromEntries(shaders.map((path) => [path, countLines(read(path))]))
  expect(broken(sizes, wgslLines, debts.wgslLines)).toEqual([])
})

const functionTypes = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/

function functionName(node: Node, parent: Node | null): string {
  const named = [node.id, parent?.id, parent?.key].find((n) => (n as Node | null | undefined)?.type === 'Identifier')
  return named ? String((named as Node).name) : 'anonymous'
}

/** Lines of every function, by `file name`; the longest where names repeat. A test's body is a list of cases, not a function: left out. */
function functionSizes(path: string): Sizes {
  const lineAt = createLines(read(path))
  const sizes: Record<string, number> = {}
  for (const { node, parent } of nodesOf(path)) {
    if (!functionTypes.test(node.type)) continue
    if (isTest(path) && parent?.type === 'CallExpression') continue
    const lines = lineAt(node.end) - lineAt(node.start) + 1
    const name = `${path} ${functionName(node, parent)}`
    sizes[name] = Math.max(lines, sizes[name] ?? 0)
  }
  return sizes
}

/** AssemblyScript, whose decorators the parser refuses: functions begin and end at the margin. */
function assemblyFunctionSizes(path: string): Sizes {
  const sizes: Record<string, number> = {}
  for (const [body, name] of read(path).matchAll(/^(?:export )?function (\w+)[\s\S]*?^}/gm))
    sizes[`${path} ${name}`] = countLines(body)
  return sizes
}

test(`functions: at most ${functionLines} lines`, () => {
  const plain = code.filter((path) => isTypeScript(path) || path.endsWith('.mjs'))
  const sizes = Object.assign(
    {},
    ...plain.map(functionSizes),
    ...code.filter(isAssemblyScript).map(assemblyFunctionSizes),
  )
  expect(Object.keys(sizes).length).toBeGreaterThan(500)
  expect(broken(sizes, functionLines, debts.functionLines)).toEqual([])
})

describe('nothing is waved through', () => {
  test('no any', () => {
    const anys = code
      .filter(isTypeScript)
      .flatMap((path) =>
        nodesOf(path, /\bany\b/).flatMap(({ node }) =>
          node.type === 'TSAnyKeyword' ? [`${path}:${createLines(read(path))(node.start)}`] : [],
        ),
      )
    expect(anys).toEqual([])
  })
  test('no comment that silences a checker', () => {
    // put together here, so that this line is none
    const silencer = new RegExp(
      ['@ts-ign' + 'ore', '@ts-exp' + 'ect-error', '@ts-noch' + 'eck', 'biome-ign' + 'ore'].join('|'),
    )
    const allowed: Readonly<Record<string, number>> = debts.silencers
    const counts = Object.fromEntries(
      code.flatMap((path) => {
        const count = isAssemblyScript(path)
          ? 0
          : read(path)
              .split('\n')
              .filter((line) => silencer.test(line)).length
        return count > 0 ? [[path, count]] : []
      }),
    )
    expect(Object.entries(counts).filter(([path, count]) => count > (allowed[path] ?? 0))).toEqual([])
  })
  test('every file of code says at its top what it is (an index.ts is its package: the README does)', () => {
    const allowed = new Set(debts.withoutHeader)
    const bare = code.filter(
      (path) => !isTest(path) && !path.endsWith('/index.ts') && !/^(#!.*\n)?(\/\/|\/\*)/.test(read(path)),
    )
    expect(bare.filter((path) => !allowed.has(path))).toEqual([])
    expect(
      debts.withoutHeader.filter((path) => !bare.includes(path)),
      'paid debts',
    ).toEqual([])
  })
})
