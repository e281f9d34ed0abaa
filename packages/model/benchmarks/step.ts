/**
 * One reinforcement-learning step of nano: 128 rollouts (16 questions x 8, prompts of 45 tokens with an image, 15 to 45 sampled tokens), then
 * backward over the packed rollouts and AdamW. Random weights; every repetition has new images and new weights, as in training.
 *
 *   node packages/model/benchmarks/step.ts [threads or webgpu = 1,2] [repetitions = 7] [--kernels]
 *
 * Prints medians. On WebGPU 16 rollouts (2 questions), for the sake of software adapters, and what the processor spent in all; there a phase's time shows
 * where its result is read (backward under AdamW). --kernels
 * (CPU) runs every kernel call by itself and prints where the time goes (the sum is a little more than without).
 */
import { createHash } from 'node:crypto'
import { CpuExecutor, createCpuExecutor, createWebGpuExecutor, type Executor, kernels } from '@axpo/kernels'
import { createModel, loadConfig, loadProcessorConfig, type Model, nanoDirectory } from '../src/index.ts'

const QUESTIONS = { cpu: 16, webgpu: 2 }
const SAMPLES = 8
const PROMPT = 45

const config = await loadConfig(nanoDirectory)
const processor = await loadProcessorConfig(nanoDirectory)

function question(step: number, q: number) {
  const seed = step * QUESTIONS.cpu + q
  const data = Uint8Array.from(
    { length: 128 * 128 * 3 },
    (_, i) => (Math.imul(i + seed * 7919, 2654435761) >>> 11) & 255,
  )
  const text = Array.from({ length: PROMPT - 18 }, (_, i) => (i < 20 ? i : (i * 31 + seed) % 480))
  const pads = new Array<number>(16).fill(config.imageTokenId)
  const tokens = Int32Array.from([...text, config.visionStartTokenId, ...pads, config.visionEndTokenId])
  const sha256 = createHash('sha256').update(data).digest('hex')
  return { tokens, images: [{ sha256, image: { width: 128, height: 128, data } }] }
}

interface StepTimes {
  sampledTokens: number
  samplingRate: number
  rows: number
  pack: number
  forward: number
  backward: number
  optimise: number
}

/** The clock, or with --cpu what the calling thread computed (for one thread on a busy machine). */
const now = process.argv.includes('--cpu') ? busy : () => performance.now()

async function timed<T>(run: () => T | Promise<T>): Promise<[T, number]> {
  const start = now()
  const value = await run()
  return [value, now() - start]
}

async function runStep(model: Model, step: number, questions: number): Promise<StepTimes> {
  const prompts = Array.from({ length: questions }, (_, q) => question(step, q))
  const before = model.sampler.statistics.sampledTokens
  const [results, sampling] = await timed(() =>
    Promise.all(
      prompts.flatMap(({ tokens, images }, q) =>
        Array.from({ length: SAMPLES }, (_, s) =>
          model.sampler.sample({
            tokens,
            images,
            maxTokens: 15 + (((q * SAMPLES + s) * 17) % 31),
            stopTokens: [],
            temperature: 1,
            key: { seed: 1, step, question: q, sample: s },
          }),
        ),
      ),
    ),
  )
  const sampledTokens = model.sampler.statistics.sampledTokens - before
  const sequences = results.map((result, i) => {
    const prompt = prompts[Math.floor(i / SAMPLES)]!
    const tokens = Int32Array.from([...prompt.tokens, ...result.tokens])
    return { tokens, images: prompt.images, selected: new Uint8Array(tokens.length).fill(1, PROMPT) }
  })
  const [batch, pack] = await timed(() => model.learner.pack(sequences))
  const gradients = sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(-0.01))
  const [, forward] = await timed(() => model.learner.forward(batch))
  const [, backward] = await timed(() => model.learner.backward(batch, gradients))
  const [, optimise] = await timed(() => model.learner.step(1e-4))
  const samplingRate = (sampledTokens / sampling) * 1000
  return { sampledTokens, samplingRate, rows: batch.rowCount, pack, forward, backward, optimise }
}

/** Milliseconds this thread has computed: unlike the clock, not changed by other programs on the machine. */
function busy(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

interface KernelTimes {
  calls: number
  /** Milliseconds of each step. */
  readonly steps: number[]
}

/** Times each kernel call by itself, by kernel and shape (words of the job record). The caller counts the steps. */
function watchKernels(executor: CpuExecutor, step: () => number): Map<string, KernelTimes> {
  const totals = new Map<string, KernelTimes>()
  const execute = executor.execute.bind(executor)
  executor.execute = (jobs, count) => {
    for (let i = 0; i < count; i++) {
      const record = executor.ints(jobs + i * 128, 32)
      const { name } = kernels[record[0]!]!
      const label = name.startsWith('gemm') ? `${name} N${record[12]} mode${record[14]}` : name
      const entry = totals.get(label) ?? { calls: 0, steps: [] }
      totals.set(label, entry)
      const start = busy()
      execute(jobs + i * 128, 1)
      entry.calls++
      entry.steps[step()] = (entry.steps[step()] ?? 0) + busy() - start
    }
  }
  return totals
}

function printKernels(totals: ReadonlyMap<string, KernelTimes>): void {
  const rows = [...totals].map(([name, { calls, steps }]) => ({
    name,
    calls: calls / steps.length,
    best: Math.min(...steps),
  }))
  rows.sort((a, b) => b.best - a.best)
  console.log(`  kernels, best step: ${rows.reduce((sum, { best }) => sum + best, 0).toFixed(1)} ms`)
  for (const { name, calls, best } of rows.slice(0, 24))
    console.log(`    ${name.padEnd(24)} ${best.toFixed(1).padStart(7)} ms  ${calls.toFixed(0).padStart(5)} calls`)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[process.argv.includes('--best') ? 0 : values.length >> 1]!
}

function print(label: string, times: readonly StepTimes[]): void {
  const of = (key: keyof StepTimes) => median(times.map((time) => time[key]))
  const learner = median(times.map((time) => time.pack + time.forward + time.backward + time.optimise))
  const whole = median(
    times.map(
      (time) =>
        (time.sampledTokens / time.samplingRate) * 1000 + time.pack + time.forward + time.backward + time.optimise,
    ),
  )
  console.log(
    `${label}: sampling ${of('samplingRate').toFixed(0)} tokens/s (${of('sampledTokens')} tokens, ${((of('sampledTokens') / of('samplingRate')) * 1000).toFixed(0)} ms);` +
      ` learner ${((of('rows') / learner) * 1000).toFixed(0)} rows/s (${of('rows')} rows, ${learner.toFixed(0)} ms: pack ${of('pack').toFixed(1)}, forward ${of('forward').toFixed(0)}, backward ${of('backward').toFixed(0)}, AdamW ${of('optimise').toFixed(1)}); step ${whole.toFixed(0)} ms`,
  )
}

/** Smaller on WebGPU, so that a software adapter does not clear and copy what a short step never uses. */
const SMALL = {
  train: { tokens: 2048, imageTokens: 256, selections: 2048, spans: 16384 },
  sample: { stepTokens: 512, sequences: 64, stepSpans: 16384, kvRows: 4096, featureRows: 1024, encodeTokens: 64 },
}

const [devices, repetitions] = [(process.argv[2] ?? '1,2').split(','), Number(process.argv[3] ?? 7)]
for (const device of devices) {
  const webgpu = device === 'webgpu'
  const executor: Executor = webgpu
    ? await createWebGpuExecutor()
    : await createCpuExecutor({ threads: Number(device) })
  const model = createModel({ config, processor, executor, ...(webgpu ? { capacities: SMALL } : {}) })
  const questions = QUESTIONS[executor.kind]
  model.initialise(1)
  await runStep(model, 0, questions)
  const times: StepTimes[] = []
  const watched = process.argv.includes('--kernels') && executor instanceof CpuExecutor
  const totals = watched ? watchKernels(executor, () => times.length) : null
  const spent = process.cpuUsage()
  for (let i = 1; i <= repetitions; i++) times.push(await runStep(model, i, questions))
  const { user, system } = process.cpuUsage(spent)
  print(executor.describe(), times)
  if (webgpu)
    console.log(`  processor time of all threads: ${((user + system) / 1000 / repetitions).toFixed(0)} ms a step`)
  if (totals) printKernels(totals)
  model.close()
  await executor.close()
}
process.exit(0)
