/**
 * The conformance suite of the kernels, and one learner step of nano against the CPU, on this machine's WebGPU adapter, without vitest: for a machine that
 * holds nothing but the pack (pack.mjs). Prints the worst errors; exit code 1 where one is beyond what the tests allow.
 */
import { loadCases, runCase } from '../../packages/kernels/src/conformance.ts'
import { createCpuExecutor, createWebGpuExecutor, type Executor } from '../../packages/kernels/src/index.ts'
import { createModel, loadConfig, loadProcessorConfig, nanoDirectory } from '../../packages/model/src/index.ts'

/** As in packages/kernels/src/conformance-webgpu.test.ts. */
const valueLimit = 2e-5
const gradientLimit = 2e-4

async function checkOps(executor: Executor): Promise<number> {
  let failed = 0
  const worst = { value: 0, gradient: 0 }
  const cases = await loadCases()
  for (const T of [0, 1, 37, 131])
    for (const item of cases) {
      const { valueError, gradientError, faults } = await runCase(executor, item, T)
      worst.value = Math.max(worst.value, valueError)
      worst.gradient = Math.max(worst.gradient, gradientError)
      if (faults.length === 0 && valueError < valueLimit && gradientError < gradientLimit) continue
      failed++
      console.log(`FAIL ${item.name} T=${T}: value ${valueError}, gradient ${gradientError}. ${faults.join('; ')}`)
    }
  console.log(
    `${cases.length} cases at T = 0, 1, 37, 131: ${failed} failed; worst error of values ${worst.value.toExponential(1)}, of gradients ${worst.gradient.toExponential(1)}`,
  )
  return failed
}

/** Largest |difference| of log-probabilities and relative difference of gradients after one backward. */
async function checkModel(executor: Executor): Promise<number> {
  const config = await loadConfig(nanoDirectory)
  const processor = await loadProcessorConfig(nanoDirectory)
  const cpu = await createCpuExecutor()
  const sequences = Array.from({ length: 4 }, (_, s) => {
    const tokens = Int32Array.from({ length: 24 }, (_, i) => (i * 31 + (i < 12 ? 0 : s * 7)) % 480)
    return { tokens, images: [], selected: new Uint8Array(24).fill(1, 1) }
  })
  const [got, want] = await Promise.all(
    [executor, cpu].map(async (each) => {
      const model = createModel({ config, processor, executor: each })
      const { learner } = model
      model.initialise(1)
      const scores = await learner.backward(
        learner.pack(sequences),
        sequences.map(({ tokens }) => new Float32Array(tokens.length).fill(-0.1)),
      )
      return { logprobs: scores.logprobs.flatMap((row) => [...row]), gradients: await learner.gradients() }
    }),
  )
  const gap = Math.max(...got!.logprobs.map((v, i) => Math.abs(v - want!.logprobs[i]!)))
  let difference = 0
  let size = 0
  for (const [i, w] of want!.gradients.entries()) {
    difference += (got!.gradients[i]! - w) ** 2
    size += w ** 2
  }
  const relative = Math.sqrt(difference / size)
  console.log(
    `nano against the CPU: log-probabilities ${gap.toExponential(1)} nats apart, gradients ${relative.toExponential(1)}`,
  )
  await cpu.close()
  return gap < 1e-3 && relative < 1e-3 ? 0 : 1
}

const executor = await createWebGpuExecutor()
console.log(executor.describe())
const failed = (await checkOps(executor)) + (await checkModel(executor))
await executor.close()
process.exit(failed > 0 ? 1 : 0)
