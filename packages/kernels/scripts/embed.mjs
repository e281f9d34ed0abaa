// The WebAssembly builds and the WGSL as one module, so that a web page needs no file beside its script. By itself writes build/embedded.js.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Source of the module that src/platform/embedded.d.ts describes. */
export function embeddedModule() {
  const wasm = Object.fromEntries(
    readdirSync(join(root, 'build'))
      .map((name) => /^kernels-(.+)\.wasm$/.exec(name))
      .filter((match) => match !== null)
      .map(([name, build]) => [build, readFileSync(join(root, 'build', name)).toString('base64')]),
  )
  const wgsl = Object.fromEntries(
    readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.wgsl'))
      .sort()
      .map((path) => [basename(path), readFileSync(join(root, 'src', path), 'utf8')]),
  )
  return Object.entries({ wasm, wgsl })
    .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)}\n`)
    .join('')
}

/** Source of a module that exports `cases`, those of every op's folder, for a page that runs the conformance suite. */
export function casesModule() {
  const ops = join(root, 'src', 'ops')
  const files = readdirSync(ops)
    .map((name) => join(ops, name, `${name}.conformance.ts`))
    .filter((file) => existsSync(file))
  const imports = files.map((file, i) => `import { cases as cases${i} } from ${JSON.stringify(file)}\n`)
  return `${imports.join('')}export const cases = [${files.map((_, i) => `...cases${i}`)}]\n`
}

export function embed() {
  writeFileSync(join(root, 'build', 'embedded.js'), embeddedModule())
}

if (process.argv[1] === fileURLToPath(import.meta.url)) embed()
