/** The axpo command line as a test's user types it, in a folder of the test's own. Not here: processes that are killed (compare.test.ts). */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

/** Exit code, and stdout with stderr behind it. */
export function runAxpo(
  directory: string,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    // a dozen processes of the same program: compiled once
    const env = { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') }
    const child = execFile(process.execPath, [main, ...args], { cwd: directory, env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, text: stdout + stderr }),
    )
  })
}
