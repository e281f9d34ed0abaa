// jax-js on its WebAssembly back-end, one thread: it has no worker threads under Node.
import { blockUntilReady, defaultDevice, init, jit, numpy as np } from '@jax-js/jax'
import { operand, serve, time } from './serve.mjs'

await init()
defaultDevice('wasm')

async function matmul({ M, N, K }) {
  const a = np.array(operand(M * K)).reshape([M, K])
  const b = np.array(operand(K * N)).reshape([K, N])
  const product = jit((x, y) => np.matmul(x, y))
  const run = async () => {
    const y = product(a.ref, b.ref)
    await blockUntilReady(y)
    y.dispose()
  }
  await run()
  const ms = await time(run)
  for (const array of [a, b]) array.dispose()
  return { ms }
}

await serve('jax-js wasm 0.1.25', { matmul })
