// Requests and answers as JSON lines on stdin and stdout. What libraries print goes to stderr.
import { createInterface } from 'node:readline'

const write = process.stdout.write.bind(process.stdout)
for (const name of ['log', 'info', 'warn', 'debug']) console[name] = console.error

/** Operands of a product: no zeros, no denormals. */
export function operand(length) {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5)
}

/** Milliseconds of one call, over at least 30 ms. */
export async function time(run) {
  let calls = 0
  const start = performance.now()
  do {
    await run()
    calls++
  } while (performance.now() - start < 30)
  return (performance.now() - start) / calls
}

/** `handlers[op](request)` answers a request; `ready` is the first line. */
export async function serve(ready, handlers) {
  write(`${JSON.stringify({ ready })}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line)
    write(`${JSON.stringify(await handlers[op](request))}\n`)
  }
  process.exit(0)
}
