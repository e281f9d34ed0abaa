/** Training and decoding rates of the nano model on this machine: node packages/model/scripts/measure.ts [threads]. Random weights, synthetic rollouts. */
import { createHash } from 'node:crypto'
import { createCpuExecutor } from '@axpo/kernels'
import { createModel, loadConfig, loadProcessorConfig, nanoDirectory } from '../src/index.ts'

const threads = Number(process.argv[2] ?? 2)
const executor = await createCpuExecutor({ threads })
const config = await loadConfig(nanoDirectory)
const model = createModel({ config, processor: await loadProcessorConfig(nanoDirectory), executor })
model.initialise(1)
const promptTokens = 180
const generated = 40
const questions = 16
const samples = 8
function question(q: number) {
  const data = Uint8Array.from({ length: 128 * 128 * 3 }, (_, i) => (Math.imul(i + q * 7919, 2654435761) >>> 11) & 255)
  const sha256 = createHash('sha256').update(data).digest('hex')
  const text = Array.from({ length: promptTokens - 18 }, (_, i) => (i < 150 ? i % 480 : (i * 31 + q) % 480))
  const tokens = Int32Array.from([
    ...text,
    config.visionStartTokenId,
    ...new Array<number>(16).fill(config.imageTokenId),
    config.visionEndTokenId,
  ])
  return { tokens, images: [{ sha256, image: { width: 128, height: 128, data } }] }
}
const prompts = Array.from({ length: questions }, (_, q) => question(q))
const start = performance.now()
const results = await Promise.all(
  prompts.flatMap(({ tokens, images }, q) =>
    Array.from({ length: samples }, (_, s) =>
      model.sampler.sample({
        tokens,
        images,
        maxTokens: generated,
        stopTokens: [],
        temperature: 1,
        key: { seed: 1, step: 0, question: q, sample: s },
      }),
    ),
  ),
)
const sampleSeconds = (performance.now() - start) / 1000
const { computedTokens, sampledTokens, steps } = model.sampler.statistics
console.log(`${executor.describe()}`)
console.log(
  `sample: ${sampledTokens} tokens of ${questions * samples} sequences in ${sampleSeconds.toFixed(2)} s = ${(sampledTokens / sampleSeconds).toFixed(0)} tokens/s decoded (${computedTokens} rows, ${steps} steps, prefill included)`,
)
const sequences = results.map((result, i) => {
  const prompt = prompts[Math.floor(i / samples)]!
  const tokens = Int32Array.from([...prompt.tokens, ...result.tokens])
  return { tokens, images: prompt.images, selected: new Uint8Array(tokens.length).fill(1, promptTokens) }
})
const batch = model.learner.pack(sequences)
const gradients = sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(-0.01))
for (let i = 0; i < 2; i++) {
  const began = performance.now()
  await model.learner.backward(batch, gradients)
  const { gradientNorm } = await model.learner.step(1e-4)
  const seconds = (performance.now() - began) / 1000
  const total = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0)
  console.log(
    `train: ${batch.rowCount} rows (${total} tokens before sharing) forward + backward + step in ${seconds.toFixed(2)} s = ${(batch.rowCount / seconds).toFixed(0)} rows/s, ${(total / seconds).toFixed(0)} tokens/s; |g| ${gradientNorm.toFixed(3)}; ${batch.microBatches.length} micro-batches`,
  )
}
console.log(`memory ${(executor.byteLength() / 1e6).toFixed(0)} MB`)
model.close()
await executor.close()
