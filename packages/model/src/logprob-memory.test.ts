/**
 * The vocabulary streams: log-probability, entropy and their gradients at Qwen3's vocabulary need tiles of scratch, never all the logits; they run so on every
 * back-end, and what a device cannot hold is refused in words. Legend: T tokens, V vocabulary, D width.
 */
import {
  buildBackward,
  type Executor,
  forwardCalls,
  Graph,
  gather,
  logprob,
  type Plan,
  planGraph,
  type Tensor,
  WebGpuExecutor,
} from '@axpo/kernels'
import { describe, expect, it } from 'vitest'
import { cpuBackends, webGpuBackend } from './backends.fixture.ts'
import { VOCABULARY_TILE } from './packed-graph.ts'
import { scaledError } from './parity.fixture.ts'

const VOCABULARY = 151_936
const LIMIT_BYTES = 64 * 2 ** 20
/** What WebGPU promises of any device, and all that lavapipe has of the first. */
const leastLimits = { maxStorageBufferBindingSize: 128 * 2 ** 20, maxBufferSize: 256 * 2 ** 20 }
const INVERSE_TEMPERATURE = 1.25

interface HeadPlan {
  readonly plan: Plan
  readonly targets: Tensor
  readonly dout: Tensor
  readonly out: Tensor
  /** Arena less what the caller gives and gets. */
  readonly scratchBytes: number
}

/** Hidden states, head and both gradients are regions; what is left in the arena is host data and scratch. */
function planHead(tokens: number, width: number): HeadPlan {
  const g = new Graph()
  const trained = (name: string, rows: number) =>
    g.persistent(name, name, 0, rows, width, g.persistent(`d ${name}`, `d ${name}`, 0, rows, width))
  const targets = g.host('targets', tokens, 1, 'i32')
  const dout = g.host('d out', tokens, 2)
  const [hidden, head] = [trained('hidden', tokens), trained('head', VOCABULARY)]
  const out = logprob(g, {
    hidden,
    head,
    targets,
    dout,
    vocab: VOCABULARY,
    tileWidth: VOCABULARY_TILE,
    invTemperature: INVERSE_TEMPERATURE,
  })
  const plan = planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g) } })
  const host = [targets, dout, out].reduce((sum, tensor) => sum + plan.place(tensor).byteLength, 0)
  return { plan, targets, dout, out, scratchBytes: plan.arenaByteLength - host }
}

/** Numbers in [-scale, scale) that differ from each other, the same each time. */
const numbers = (length: number, scale: number) =>
  Float32Array.from({ length }, (_, i) => (((Math.imul(i + 1, 2654435761) >>> 8) / 2 ** 24) * 2 - 1) * scale)

interface Reference {
  readonly logprobs: Float64Array
  readonly entropies: Float64Array
  readonly dHidden_TD: Float64Array
  readonly dHead_VD: Float64Array
}

/** Log-probability, entropy and the gradients of a * logp + b * entropy, summed over the tokens, in f64. */
function reference(hidden: Float32Array, head: Float32Array, targets: Int32Array, a: number, b: number): Reference {
  const T = targets.length
  const D = hidden.length / T
  const result = {
    logprobs: new Float64Array(T),
    entropies: new Float64Array(T),
    dHidden_TD: new Float64Array(hidden.length),
    dHead_VD: new Float64Array(head.length),
  }
  for (const [t, target] of targets.entries()) {
    const z_V = Float64Array.from({ length: VOCABULARY }, (_, v) => {
      let sum = 0
      for (let i = 0; i < D; i++) sum += head[v * D + i]! * hidden[t * D + i]!
      return sum * INVERSE_TEMPERATURE
    })
    const largest = z_V.reduce((m, z) => Math.max(m, z), Number.NEGATIVE_INFINITY)
    const lse = largest + Math.log(z_V.reduce((sum, z) => sum + Math.exp(z - largest), 0))
    const entropy = lse - z_V.reduce((sum, z) => sum + Math.exp(z - lse) * z, 0)
    result.logprobs[t] = z_V[target]! - lse
    result.entropies[t] = entropy
    for (const [v, z] of z_V.entries()) {
      const p = Math.exp(z - lse)
      const dLogit = INVERSE_TEMPERATURE * (a * ((v === target ? 1 : 0) - p) - b * p * (z - lse + entropy))
      for (let i = 0; i < D; i++) {
        result.dHidden_TD[t * D + i]! += dLogit * head[v * D + i]!
        result.dHead_VD[v * D + i]! += dLogit * hidden[t * D + i]!
      }
    }
  }
  return result
}

const [T, D] = [6, 24]
const [hidden_TD, head_VD] = [numbers(T * D, 1), numbers(VOCABULARY * D, 2)]
/** The first, the last and some between, in tiles of their own. */
const targets_T = Int32Array.from({ length: T }, (_, t) => Math.round((t * (VOCABULARY - 1)) / (T - 1)))
const [dLogprob, dEntropy] = [-0.5, 0.25]

/** Forward and backward of the head on an executor: [T, 4] scores and both gradients. */
async function runHead(executor: Executor) {
  const { plan, targets, dout, out, scratchBytes } = planHead(T, D)
  for (const [name, data] of [
    ['hidden', hidden_TD],
    ['head', head_VD],
  ] as const) {
    executor.allocate(name, data.length)
    executor.allocate(`d ${name}`, data.length)
    executor.writeRegion(name, 0, data)
  }
  const before = executor.byteLength()
  const loaded = executor.load(plan)
  // what the executor adds of its own (a record a call) counts too
  expect(executor.byteLength() - before - plan.arenaByteLength).toBeLessThan(2 ** 20)
  expect(scratchBytes).toBeLessThan(LIMIT_BYTES)
  loaded.write(targets, targets_T)
  loaded.write(
    dout,
    Float32Array.from({ length: T * 2 }, (_, i) => (i % 2 === 0 ? dLogprob : dEntropy)),
  )
  await loaded.run('forward')
  await loaded.run('backward')
  const scores = await loaded.read(out)
  const dHidden_TD = await executor.readRegion('d hidden', 0, hidden_TD.length)
  const dHead_VD = await executor.readRegion('d head', 0, head_VD.length)
  loaded.free()
  const column = (c: number) => Float32Array.from({ length: T }, (_, t) => scores[t * 4 + c]!)
  return { logprobs: column(0), entropies: column(1), dHidden_TD, dHead_VD }
}

const webgpu = await webGpuBackend('model/logprob-memory')

describe('log-probabilities at a vocabulary of 151 936', () => {
  it('512 tokens of width 2048, forward and backward: less than 64 MB of scratch', () => {
    const { plan, scratchBytes } = planHead(512, 2048)
    const logitsBytes = 512 * VOCABULARY * 4
    expect(scratchBytes).toBeGreaterThan(0)
    expect(scratchBytes).toBeLessThan(LIMIT_BYTES)
    expect(scratchBytes).toBeLessThan(logitsBytes / 4)
    // the head is bound tile by tile: any WebGPU device can
    const largest = Math.max(...plan.steps.flatMap(({ bindings }) => bindings.map(({ byteLength }) => byteLength)))
    expect(largest).toBeLessThanOrEqual(leastLimits.maxStorageBufferBindingSize)
  })

  let expected: Reference | undefined
  for (const { name, missing, open } of [cpuBackends[0]!, webgpu])
    it.skipIf(missing !== null)(`runs so on ${name}: ${T} tokens, width ${D}, as the f64 reference`, async () => {
      expected ??= reference(hidden_TD, head_VD, targets_T, dLogprob, dEntropy)
      const executor = await open()
      const got = await runHead(executor)
      const error = (key: keyof Reference) => scaledError(got[key], expected![key])
      expect(error('logprobs')).toBeLessThan(1e-5)
      expect(error('entropies')).toBeLessThan(1e-5)
      // one sum over the whole vocabulary: 1e-4 on the CPU, whose products add to what is there term by term; 1e-5 on WebGPU, which adds up tiles
      expect(error('dHidden_TD')).toBeLessThan(2e-4)
      expect(error('dHead_VD')).toBeLessThan(1e-5)
      await executor.close()
    })
})

describe.skipIf(webgpu.missing !== null)(
  'what a device with the least limits of WebGPU refuses at this vocabulary',
  () => {
    /** No more than WebGPU promises, whatever the device of this machine has. */
    async function openLeast(): Promise<Executor> {
      const executor = await webgpu.open()
      if (!(executor instanceof WebGpuExecutor)) throw new Error('logprob: the back-end must be WebGPU.')
      const { limits } = executor.device
      const { maxComputeWorkgroupsPerDimension, minStorageBufferOffsetAlignment } = limits
      Object.defineProperty(executor.device, 'limits', {
        value: { maxComputeWorkgroupsPerDimension, minStorageBufferOffsetAlignment, ...leastLimits },
      })
      return executor
    }

    it('a region of 151 936 x 2048: one buffer must hold it', async () => {
      const executor = await openLeast()
      expect(() => executor.allocate('head', VOCABULARY * 2048)).toThrow(
        "webgpu: region head must have at most the device's 268435456 bytes, got 1244659712. Use a smaller model or batch.",
      )
      expect(executor.byteLength()).toBe(0)
      await executor.close()
    })

    it('an embedding table of 151 936 x 256: gather binds all of it, while the head of that size runs in tiles', async () => {
      const executor = await openLeast()
      executor.allocate('head', VOCABULARY * 256)
      const held = executor.byteLength()
      const g = new Graph()
      const csr = g.host('csr', 2 * T + 1, 1, 'i32')
      gather(g, { table: g.persistent('table', 'head', 0, VOCABULARY, 256), csr, rows: T })
      expect(() => executor.load(planGraph(g))).toThrow(
        "webgpu: gather: table must have at most the device's 134217728 bytes a binding, got 155582464. Use a smaller model or batch, or --device cpu.",
      )
      expect(executor.byteLength()).toBe(held)
      await executor.close()
    })
  },
)
