/**
 * Serves the page twice: /plain/ as any web server would, /isolated/ with the two headers that allow shared memory. `node browser/serve.ts [port]` for
 * people, who then open the addresses it prints.
 */
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundlePage } from './bundle.ts'

const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

interface Item {
  readonly type: string
  readonly bytes: Uint8Array
}

function answer(request: IncomingMessage, response: ServerResponse, item: Item | undefined, headers: object): void {
  if (!item) {
    response.writeHead(404, { ...headers }).end()
    return
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
  const [start, end] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, item.bytes.length]
  const bytes = item.bytes.subarray(start, end)
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-type': item.type,
    'content-length': bytes.length,
    ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${item.bytes.length}` } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

export interface PageServer {
  /** Ends in a slash. */
  readonly address: string
  close(): void
}

/** `weights`: a checkpoint folder served as /weights/. `port` 0: any free one. */
export async function servePage(
  options: { readonly weights?: string; readonly port?: number } = {},
): Promise<PageServer> {
  const items = new Map<string, Item>([
    ['', { type: 'text/html', bytes: await readFile(new URL('./index.html', import.meta.url)) }],
    ['page.js', { type: 'text/javascript', bytes: new TextEncoder().encode(await bundlePage()) }],
  ])
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const [, kind, name = ''] = /^\/(plain|isolated)\/([\w.]*)$/.exec(pathname) ?? []
    if (kind) return answer(request, response, items.get(name), kind === 'isolated' ? ISOLATED : {})
    const [, file] = /^\/weights\/([\w.-]+\.safetensors)$/.exec(pathname) ?? []
    if (!file || !options.weights) return answer(request, response, undefined, {})
    readFile(join(options.weights, file)).then(
      (bytes) => answer(request, response, { type: 'application/octet-stream', bytes }, {}),
      () => answer(request, response, undefined, {}),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}/`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { address } = await servePage({ port: Number(process.argv[2] ?? 8080) })
  console.log(`without shared memory: ${address}plain/\nwith threads:          ${address}isolated/`)
}
