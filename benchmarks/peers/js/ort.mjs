// onnxruntime-web on WebAssembly, one thread or two: a graph of a single MatMul, both operands given at each call.
import * as ort from 'onnxruntime-web'
import { operand, serve, time } from './serve.mjs'

ort.env.wasm.numThreads = Number(process.argv[2] ?? 1)
ort.env.logLevel = 'error'

// Protocol buffers by hand: field number and wire type, then a varint or a length and bytes.
const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)])
const number = (field, value) => [...varint(field << 3), ...varint(value)]
const bytes = (field, content) => [...varint((field << 3) | 2), ...varint(content.length), ...content]
const text = (field, value) => bytes(field, [...Buffer.from(value)])

/** ValueInfoProto of an f32 matrix. */
function matrix(name, rows, columns) {
  const shape = [rows, columns].flatMap((size) => bytes(1, number(1, size)))
  return [...text(1, name), ...bytes(2, bytes(1, [...number(1, 1), ...bytes(2, shape)]))]
}

/** ModelProto: c[M, N] = a[M, K] b[K, N], `products` times over: the results but one are of no use. */
function model(M, N, K, products) {
  const nodes = Array.from({ length: products }, (_, i) =>
    bytes(1, [...text(1, 'a'), ...text(1, 'b'), ...text(2, i === 0 ? 'c' : `c${i}`), ...text(4, 'MatMul')]),
  ).flat()
  const io = [...bytes(11, matrix('a', M, K)), ...bytes(11, matrix('b', K, N)), ...bytes(12, matrix('c', M, N))]
  const graph = [...nodes, ...text(2, 'product'), ...io]
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 17))])
}

const MORE = 8

/** Milliseconds of a call with so many products. */
async function timeProducts({ M, N, K }, products) {
  const session = await ort.InferenceSession.create(model(M, N, K, products), {
    executionProviders: ['wasm'],
    // equal products must not be made one
    graphOptimizationLevel: 'disabled',
  })
  const a = new ort.Tensor('float32', operand(M * K), [M, K])
  const b = new ort.Tensor('float32', operand(K * N), [K, N])
  await session.run({ a, b })
  const ms = await time(() => session.run({ a, b }))
  await session.release()
  return ms
}

/** `copies`: what a call takes, its copies of operands and result included. Else the product alone. */
async function matmul({ copies, ...shape }) {
  const one = await timeProducts(shape, 1)
  return { ms: copies ? one : ((await timeProducts(shape, 1 + MORE)) - one) / MORE }
}

await serve(`onnxruntime-web ${ort.env.versions?.web ?? '1.30.0'}`, { matmul })
