// jax-js on its WebAssembly back-end, one thread: it has no worker threads under Node.
import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { operand, serve, time } from './serve.mjs'
import { causal, initial, oneHot, parameters, shape } from './text-model.mjs'

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

const { width, layers, heads, kvHeads, channels, vocab } = shape
const group = heads / kvHeads

const rms = (x, gain) => x.ref.div(np.sqrt(np.mean(np.square(x), -1, { keepdims: true }).add(1e-6))).mul(gain)

function attention(a, p, i, mask, sequences, tokens) {
  const perHead = (name, count) => np.matmul(a.ref, p[`${name}${i}`]).reshape([sequences, tokens, count, channels])
  const q = np.transpose(
    rms(perHead('q', heads), p[`qn${i}`]).reshape([sequences, tokens, kvHeads, group, channels]),
    [0, 2, 3, 1, 4],
  )
  const k = np.transpose(rms(perHead('k', kvHeads), p[`kn${i}`]), [0, 2, 3, 1])
  const v = np.transpose(perHead('v', kvHeads), [0, 2, 1, 3])
  a.dispose()
  const scores = np.matmul(q.reshape([sequences, kvHeads, group * tokens, channels]), k).mul(1 / Math.sqrt(channels))
  const weights = nn.softmax(scores.reshape([sequences, kvHeads, group, tokens, tokens]).add(mask), -1)
  const o = np.matmul(weights.reshape([sequences, kvHeads, group * tokens, tokens]), v)
  const rows = np.transpose(o.reshape([sequences, kvHeads, group, tokens, channels]), [0, 3, 1, 2, 4])
  return np.matmul(rows.reshape([sequences * tokens, heads * channels]), p[`o${i}`])
}

const lossOf = (sequences, tokens) => (p, x, y, mask) => {
  let h = np.matmul(x, p.embed.ref)
  for (let i = 0; i < layers; i++) {
    h = h.ref.add(attention(rms(h, p[`n1${i}`]), p, i, i === layers - 1 ? mask : mask.ref, sequences, tokens))
    const b = rms(h.ref, p[`n2${i}`])
    const gate = nn.silu(np.matmul(b.ref, p[`gate${i}`]))
    h = h.add(np.matmul(gate.mul(np.matmul(b, p[`up${i}`])), p[`down${i}`]))
  }
  const logits = np.matmul(rms(h, p.norm), np.transpose(p.embed))
  return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(y), -1)).mul(-1)
}

let state = null

function createState(sequences, tokens) {
  const make = (value) =>
    Object.fromEntries(parameters.map(([name, size]) => [name, np.array(value(size)).reshape(size)]))
  const zeros = (size) => new Float32Array(size.reduce((product, n) => product * n, 1))
  const gradient = valueAndGrad(lossOf(sequences, tokens))
  const step = jit((p, m, v, scales, x, y, mask) => {
    const [loss, g] = gradient(tree.ref(p), x, y, mask)
    const m1 = tree.map((a, b) => a.mul(0.9).add(b.mul(0.1)), m, tree.ref(g))
    const v1 = tree.map((a, b) => a.mul(0.999).add(np.square(b).mul(0.001)), v, g)
    const [meanScale, squareScale] = scales
    // epsilon and the correction of both moments as tfjs has them
    const update = (a, b) =>
      a
        .mul(meanScale.ref)
        .mul(1e-4)
        .div(np.sqrt(b.mul(squareScale.ref)).add(1e-7))
    const p1 = tree.map((w, a, b) => w.sub(update(a, b)), p, tree.ref(m1), tree.ref(v1))
    for (const scale of scales) scale.dispose()
    return [p1, m1, v1, loss]
  })
  return { step, p: make(initial), m: make(zeros), v: make(zeros), count: 0 }
}

/** One step on random tokens: next-token loss, gradients, Adam, as one compiled function. */
async function train({ sequences, tokens }) {
  state ??= createState(sequences, tokens)
  const rows = sequences * tokens
  const [x, y] = [1, 2].map((seed) => np.array(oneHot(rows, state.count * 2 + seed)).reshape([rows, vocab]))
  const mask = np.array(causal(tokens)).reshape([tokens, tokens])
  const scales = [0.9, 0.999].map((decay) => np.array(Float32Array.of(1 / (1 - decay ** (state.count + 1)))))
  await blockUntilReady([x, y, mask, ...scales])
  const start = performance.now()
  const [p, m, v, loss] = state.step(state.p, state.m, state.v, scales, x, y, mask)
  await blockUntilReady([p, m, v, loss])
  const ms = performance.now() - start
  state = { ...state, p, m, v, count: state.count + 1 }
  return { ms, loss: loss.js(), width }
}

await serve('jax-js wasm 0.1.25', { matmul, train })
