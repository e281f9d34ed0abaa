/**
 * Installs the peers outside of the repository, pinned: a Python virtual environment (requirements.txt) and an npm folder (js/package.json).
 * Done once a pin; nothing of it is a dependency of the project.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = import.meta.dirname

export interface InstallOptions {
  /** Where to; default a folder in the system's temporary one. */
  readonly folder: string
  /** The Python that makes the virtual environment. */
  readonly python: string
}

export const defaultInstall: InstallOptions = { folder: join(tmpdir(), 'axpo-peers'), python: 'python3' }

export type Installed = { readonly path: string } | { readonly failure: string }

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Runs `install` into a folder named by the pins, unless it is there already. */
async function once(
  root: string,
  kind: string,
  pins: string,
  install: (folder: string) => Promise<void>,
): Promise<Installed> {
  const hash = createHash('sha256')
    .update(await readFile(join(here, pins)))
    .digest('hex')
    .slice(0, 12)
  const folder = join(root, `${kind}-${hash}`)
  const done = join(folder, 'installed')
  try {
    if (await exists(done)) return { path: folder }
    process.stdout.write(`installing ${kind} peers of ${pins} into ${folder} (once)\n`)
    await mkdir(folder, { recursive: true })
    await install(folder)
    await writeFile(done, '')
    return { path: folder }
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    return { failure: `${kind} peers could not be installed: ${(stderr || message).trim().split('\n').at(-1)}` }
  }
}

/** `path` holds bin/python with torch, transformers and TRL. */
export function installPython(options: InstallOptions): Promise<Installed> {
  return once(options.folder, 'python', 'requirements.txt', async (folder) => {
    await run(options.python, ['-m', 'venv', folder])
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', join(here, 'requirements.txt')]
    await run(join(folder, 'bin', 'python'), pip, { maxBuffer: 2 ** 26 })
  })
}

/** `path` holds node_modules and, fresh at each run, the scripts of js/. */
export async function installJavaScript(options: InstallOptions): Promise<Installed> {
  const installed = await once(options.folder, 'js', join('js', 'package.json'), async (folder) => {
    await cp(join(here, 'js'), folder, { recursive: true })
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, maxBuffer: 2 ** 26 })
  })
  if ('path' in installed)
    await cp(join(here, 'js'), installed.path, {
      recursive: true,
      force: true,
      filter: (name) => !name.endsWith('.json'),
    })
  return installed
}
