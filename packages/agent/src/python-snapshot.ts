/**
 * The memory of a started Python as a file, so that the next process need not start Pyodide from nothing (4 s of CPU). A cache and nothing more: a file that is missing, torn, changed or of
 * other versions is made again, and where none can be written every process makes its own.
 *
 * What lies there is loaded into the closed interpreter only (python-process.ts), never into this process.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest()
const hashBytes = 32

/** `made`: everything that the memory depends on. */
export function snapshotPath(folder: string, made: readonly (string | number)[]): string {
  return join(folder, `python-${sha256(JSON.stringify(made)).toString('hex').slice(0, 16)}.snapshot`)
}

export function readSnapshot(path: string): Buffer | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch {
    return null
  }
  const snapshot = bytes.subarray(hashBytes)
  return bytes.length > hashBytes && sha256(snapshot).equals(bytes.subarray(0, hashBytes)) ? snapshot : null
}

/** Whole or not there: written beside its place and renamed. False where the folder cannot be written. */
export function writeSnapshot(path: string, snapshot: Buffer): boolean {
  const beside = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true })
    try {
      writeFileSync(beside, Buffer.concat([sha256(snapshot), snapshot]))
      renameSync(beside, path)
    } finally {
      rmSync(beside, { force: true })
    }
    return true
  } catch {
    return false
  }
}
