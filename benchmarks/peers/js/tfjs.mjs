// TensorFlow.js on its WebAssembly back-end (XNNPACK), one thread: it has no threads under Node.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { operand, serve, time } from './serve.mjs'

const require = createRequire(import.meta.url)
const tf = require('@tensorflow/tfjs')
const { setWasmPaths, version_wasm } = require('@tensorflow/tfjs-backend-wasm')
setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
await tf.setBackend('wasm')
await tf.ready()

async function matmul({ M, N, K }) {
  const a = tf.tensor2d(operand(M * K), [M, K])
  const b = tf.tensor2d(operand(K * N), [K, N])
  const ms = await time(() => {
    tf.matMul(a, b).dispose()
  })
  a.dispose()
  b.dispose()
  return { ms }
}

await serve(`tfjs wasm ${version_wasm}`, { matmul })
