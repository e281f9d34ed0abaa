/** Files on disk, under Node. */
import * as fs from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Files } from './files.ts'

export const { mkdir, open, readFile, rename, rm, stat, writeFile }: Files = fs
export { join } from 'node:path'

export const nanoDirectory: string = fileURLToPath(new URL('../../nano', import.meta.url))
