// TensorFlow.js on its WebAssembly back-end (XNNPACK), one thread: it has no threads under Node.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { operand, serve, time } from './serve.mjs'
import { causal, initial, oneHot, parameters, shape } from './text-model.mjs'

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

const { layers, heads, kvHeads, channels, vocab } = shape
const group = heads / kvHeads

const rms = (x, gain) => x.div(x.square().mean(-1, true).add(1e-6).sqrt()).mul(gain)

function attention(a, p, i, mask, sequences, tokens) {
  const perHead = (name, count) => a.matMul(p[`${name}${i}`]).reshape([sequences, tokens, count, channels])
  const q = rms(perHead('q', heads), p[`qn${i}`])
    .reshape([sequences, tokens, kvHeads, group * channels])
    .transpose([0, 2, 1, 3])
  const grouped = q.reshape([sequences * kvHeads, tokens, group, channels]).transpose([0, 2, 1, 3])
  const flat = (x) => x.transpose([0, 2, 1, 3]).reshape([sequences * kvHeads, tokens, channels])
  const [k, v] = [flat(rms(perHead('k', kvHeads), p[`kn${i}`])), flat(perHead('v', kvHeads))]
  const scores = tf
    .matMul(grouped.reshape([sequences * kvHeads, group * tokens, channels]), k, false, true)
    .div(Math.sqrt(channels))
  const weights = tf.softmax(scores.reshape([sequences * kvHeads * group, tokens, tokens]).add(mask))
  const o = tf.matMul(weights.reshape([sequences * kvHeads, group * tokens, tokens]), v)
  const perToken = o.reshape([sequences, kvHeads * group, tokens, channels]).transpose([0, 2, 1, 3])
  return perToken.reshape([sequences * tokens, heads * channels]).matMul(p[`o${i}`])
}

function lossOf(p, x, y, mask, sequences, tokens) {
  let h = x.matMul(p.embed)
  for (let i = 0; i < layers; i++) {
    h = h.add(attention(rms(h, p[`n1${i}`]), p, i, mask, sequences, tokens))
    const b = rms(h, p[`n2${i}`])
    const gate = b.matMul(p[`gate${i}`])
    h = h.add(
      gate
        .mul(gate.sigmoid())
        .mul(b.matMul(p[`up${i}`]))
        .matMul(p[`down${i}`]),
    )
  }
  const logits = rms(h, p.norm).matMul(p.embed, false, true)
  return tf.logSoftmax(logits).mul(y).sum(-1).mean().neg()
}

let state = null

/** One step on random tokens: next-token loss, gradients, Adam. */
async function train({ sequences, tokens }) {
  state ??= {
    p: Object.fromEntries(parameters.map(([name, size]) => [name, tf.variable(tf.tensor(initial(size), size))])),
    optimizer: tf.train.adam(1e-4),
    count: 0,
  }
  const rows = sequences * tokens
  const [x, y] = [1, 2].map((seed) => tf.tensor2d(oneHot(rows, state.count * 2 + seed), [rows, vocab]))
  const mask = tf.tensor2d(causal(tokens), [tokens, tokens])
  const start = performance.now()
  const loss = state.optimizer.minimize(() => lossOf(state.p, x, y, mask, sequences, tokens), true)
  const [value] = await loss.data()
  const ms = performance.now() - start
  tf.dispose([x, y, mask, loss])
  state.count++
  return { ms, loss: value }
}

await serve(`tfjs wasm ${version_wasm}`, { matmul, train })
