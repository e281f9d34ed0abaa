/**
 * Files in a web page: a path is a URL, absolute or relative to the page (or worker), read by fetch, tensors by byte ranges. Nothing can be written.
 * The nano model's two JSON files come with the script.
 */
import config from '../../nano/config.json' with { type: 'json' }
import processor from '../../nano/preprocessor_config.json' with { type: 'json' }
import type { FileHandle, Files } from './files.ts'

export const nanoDirectory = 'axpo-nano:'
const embedded = new Map<string, unknown>([
  [join(nanoDirectory, 'config.json'), config],
  [join(nanoDirectory, 'preprocessor_config.json'), processor],
])

export function join(...parts: readonly string[]): string {
  return parts.map((part, i) => (i < parts.length - 1 ? part.replace(/\/$/, '') : part)).join('/')
}

async function get(url: string, options: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, options)
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return response
}

export async function readFile(path: string): Promise<string> {
  const known = embedded.get(path)
  return known === undefined ? (await get(path)).text() : JSON.stringify(known)
}

export async function stat(path: string): Promise<{ readonly size: number }> {
  const size = (await get(path, { method: 'HEAD' })).headers.get('content-length')
  if (size === null) throw new Error('no content-length')
  return { size: Number(size) }
}

export async function open(path: string, flags: 'r' | 'w'): Promise<FileHandle> {
  if (flags === 'w') return readOnly()
  const size = await stat(path)
  return {
    stat: async () => size,
    async read(into, offset, length, position) {
      const range = `bytes=${position}-${position + length - 1}`
      const response = await get(path, { headers: { range } })
      const whole = new Uint8Array(await response.arrayBuffer())
      // a server that knows no ranges sends all of it
      const bytes = response.status === 206 ? whole : whole.subarray(position, position + length)
      into.set(bytes.subarray(0, length), offset)
      return { bytesRead: Math.min(bytes.length, length) }
    },
    writeFile: readOnly,
    sync: readOnly,
    close: async () => {},
  }
}

async function readOnly(): Promise<never> {
  throw new Error('a web page writes no files; take parameters() and store them')
}

export const mkdir: Files['mkdir'] = readOnly
export const writeFile: Files['writeFile'] = readOnly
export const rename: Files['rename'] = readOnly
/** What was never written needs no removal. */
export const rm: Files['rm'] = async () => {}
