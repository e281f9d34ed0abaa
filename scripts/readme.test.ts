/** Runs the first TypeScript example of every package's README as written. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const folders = [...readdirSync(join(root, 'packages')).map((name) => join('packages', name)), join('apps', 'eval')]

for (const name of folders) {
  test(`${name}: the README's example runs and prints something`, async () => {
    const readme = join(root, name, 'README.md')
    expect(existsSync(readme)).toBe(true)
    const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(readme, 'utf8'))?.[1]
    if (!example) throw new Error(`${readme} has no \`\`\`ts example.`)
    // inside the package, so that it can import itself by name
    const folder = mkdtempSync(join(root, name, 'example-'))
    try {
      const file = join(folder, 'example.ts')
      writeFileSync(file, example)
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 50_000 })
      expect(stdout.trim()).not.toBe('')
      expect(stderr.trim()).toBe('')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
