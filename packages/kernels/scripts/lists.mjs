// Writes the two lists of what the folders of src/ops hold: src/ops/index.ts (kernels and builders) and assembly/kernels.ts (ids, chunks and calls of the
// CPU build). Ids are places in the list: folders by name, in each the kernels by the name of their export. Nothing is written where nothing changes.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** What the exported function of a kernel may ask for; their values in `execute`. */
const ARGUMENTS = {
  job: 'job',
  chunk: 'chunk',
  scratch: 'scratch',
  first: 'first',
  firstRow: 'first',
  last: 'last',
  lastRow: 'last',
}
const HEADER = 'Written by scripts/lists.mjs (npm run build) from the folders of src/ops: change those.'

async function readOps(root) {
  const folder = join(root, 'src', 'ops')
  const { listNumber } = await import(pathToFileURL(join(folder, 'definition.ts')).href)
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
  const ops = []
  for (const name of names) {
    const file = join(folder, name, `${name}.ts`)
    if (!existsSync(file)) throw new Error(`lists: op ${name} must have its file, got no ${file}. Write it.`)
    const exported = Object.entries(await import(pathToFileURL(file).href))
    const kernels = exported
      .filter(([, value]) => value?.wgsl instanceof URL)
      .map(([binding, spec]) => ({ binding, spec }))
      .sort((a, b) => (a.binding < b.binding ? -1 : 1))
    ops.push({ name, kernels, functions: readFunctions(join(folder, name)) })
  }
  return { ops, number: listNumber(ops.flatMap(({ kernels }) => kernels.map(({ spec }) => spec))) }
}

/** Exported AssemblyScript functions of a folder: file and names of parameters, by name. */
function readFunctions(folder) {
  const functions = new Map()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.as.ts')))
    for (const [, name, parameters] of readFileSync(join(folder, file), 'utf8').matchAll(
      /^export function (\w+)\((.*?)\)/gm,
    ))
      functions.set(name, {
        file: file.slice(0, -'.ts'.length),
        parameters: [...parameters.matchAll(/(\w+):/g)].map(([, parameter]) => parameter),
      })
  return functions
}

function call(op, what, name) {
  const found = op.functions.get(name)
  if (!found)
    throw new Error(
      `lists: ${what} must have its function ${name}, got none exported in an .as.ts of op ${op.name}. Write it.`,
    )
  const unknown = found.parameters.find((parameter) => !(parameter in ARGUMENTS))
  if (unknown)
    throw new Error(`lists: ${name} takes some of ${Object.keys(ARGUMENTS).join(', ')}, got ${unknown}. Rename it.`)
  return {
    name,
    from: `../src/ops/${op.name}/${found.file}`,
    text: `${name}(${found.parameters.map((parameter) => ARGUMENTS[parameter]).join(', ')})`,
  }
}

function typescriptList(ops) {
  const lines = [`/** All kernels, in the order of their ids in the CPU build, and all of the ops. ${HEADER} */`, '']
  const imports = ops
    .filter(({ kernels }) => kernels.length > 0)
    .map(({ name, kernels }) => ({ path: `./${name}/${name}.ts`, names: kernels.map(({ binding }) => binding) }))
  imports.push({ path: './definition.ts', names: ['KernelSpec'], type: ' type' })
  imports.sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path, names, type } of imports) {
    const line = `import${type ?? ''} { ${names.join(', ')} } from '${path}'`
    lines.push(
      line.length <= 120
        ? line
        : `import${type ?? ''} {\n${names.map((name) => `  ${name},\n`).join('')}} from '${path}'`,
    )
  }
  lines.push('', 'export const kernels: readonly KernelSpec[] = [')
  lines.push(...ops.flatMap(({ kernels }) => kernels.map(({ binding }) => `  ${binding},`)), ']', '')
  lines.push(...ops.map(({ name }) => `export * from './${name}/${name}.ts'`), '')
  return lines.join('\n')
}

function assemblyList(ops, number) {
  const imports = new Map()
  const chunks = []
  const calls = []
  const used = ({ name, from, text }) => {
    imports.set(from, (imports.get(from) ?? new Set()).add(name))
    return text
  }
  let id = 0
  for (const op of ops)
    for (const { spec } of op.kernels) {
      const run = used(
        call(
          op,
          `kernel ${spec.name}`,
          spec.name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()),
        ),
      )
      if ('by' in spec.chunk) {
        chunks.push(`    case ${id}: return ${used(call(op, `kernel ${spec.name}`, spec.chunk.by))};`)
        calls.push(`    case ${id}: ${run}; break;`)
      } else {
        const { items, of } = spec.chunk
        const place = of === undefined ? 0 : spec.words.indexOf(of)
        if (place < 0)
          throw new Error(
            `lists: chunks of ${spec.name} must be of one of its words ${spec.words.join(', ')}, got ${of}. Name one.`,
          )
        chunks.push(`    case ${id}: return divideUp(word(job, ${place}), ${items});`)
        calls.push(
          `    case ${id}: { const first = chunk * ${items}, last = min(word(job, ${place}), first + ${items}); ${run}; break; }`,
        )
      }
      id++
    }
  return `// Kernels by id, their chunks and their calls. ${HEADER}
import { divideUp, word } from "./math";
${[...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from "${from}";\n`).join('')}
/** listNumber of the kernels, so that the executor knows a build of another list. */
export const kernelList: i32 = ${number};

export function chunks(job: usize): i32 {
  switch (load<i32>(job)) {
${chunks.join('\n')}
    default: return unreachable();
  }
}

export function execute(job: usize, chunk: i32, scratch: usize): void {
  switch (load<i32>(job)) {
${calls.join('\n')}
    default: unreachable();
  }
}
`
}

/** Path and text of both lists for a package at `root`. */
export async function lists(root) {
  const { ops, number } = await readOps(root)
  return [
    [join(root, 'src', 'ops', 'index.ts'), typescriptList(ops)],
    [join(root, 'assembly', 'kernels.ts'), assemblyList(ops, number)],
  ]
}

/** Writes those that are stale. */
export async function writeLists(root) {
  for (const [file, text] of await lists(root))
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeLists(join(import.meta.dirname, '..'))
