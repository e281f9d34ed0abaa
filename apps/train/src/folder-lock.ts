/** One process at a time in a folder: a file that names its holder. A holder that was killed is noticed and replaced. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function holderOf(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    return Number.isInteger(pid) && pid > 0 && isAlive(pid) ? pid : null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Waits up to `waitMs` for a holder that is alive: a child whose parent was killed ends at its next step. Returns the release. */
export async function lockFolder(directory: string, waitMs: number): Promise<() => void> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'lock')
  for (const began = performance.now(); ; await sleep(100)) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = holderOf(path)
    if (holder === null) rmSync(path, { force: true })
    else if (performance.now() - began > waitMs)
      throw new Error(
        `run: ${directory} must be used by one process at a time, got process ${holder} in it. Wait for it, end it, or delete ${path} if that process is no training.`,
      )
  }
}
