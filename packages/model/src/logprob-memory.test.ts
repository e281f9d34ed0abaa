/** The vocabulary streams: log-probability, entropy and their gradients at Qwen3's vocabulary need tiles of scratch, never all the logits. */
import {
  buildBackward,
  createCpuExecutor,
  forwardCalls,
  Graph,
  logprob,
  type Plan,
  planGraph,
  type Tensor,
} from '@axpo/kernels'
import { describe, expect, it } from 'vitest'
import { VOCABULARY_TILE } from './packed-graph.ts'

const VOCABULARY = 151_936
const LIMIT_BYTES = 64 * 2 ** 20

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
    invTemperature: 1,
  })
  const plan = planGraph(g, { phases: { forward: forwardCalls(g), backward: buildBackward(g) } })
  const host = [targets, dout, out].reduce((sum, tensor) => sum + plan.place(tensor).byteLength, 0)
  return { plan, targets, dout, out, scratchBytes: plan.arenaByteLength - host }
}

/** Numbers in [-scale, scale) that differ from each other, the same each time. */
const numbers = (length: number, scale: number) =>
  Float32Array.from({ length }, (_, i) => (((Math.imul(i + 1, 2654435761) >>> 8) / 2 ** 24) * 2 - 1) * scale)

/** Log-probability, entropy and gradient of a * logp + b * entropy of one row, in f64. */
function reference(hidden: Float32Array, head: Float32Array, target: number, a: number, b: number) {
  const width = hidden.length
  const logits = Float64Array.from({ length: VOCABULARY }, (_, v) => {
    let sum = 0
    for (let i = 0; i < width; i++) sum += head[v * width + i]! * hidden[i]!
    return sum
  })
  const largest = logits.reduce((m, z) => Math.max(m, z), Number.NEGATIVE_INFINITY)
  const lse = largest + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - largest), 0))
  const entropy = lse - logits.reduce((sum, z) => sum + Math.exp(z - lse) * z, 0)
  const gradient = new Float64Array(width)
  for (const [v, z] of logits.entries()) {
    const p = Math.exp(z - lse)
    const dz = a * ((v === target ? 1 : 0) - p) - b * p * (z - lse + entropy)
    for (let i = 0; i < width; i++) gradient[i]! += dz * head[v * width + i]!
  }
  return { logprob: logits[target]! - lse, entropy, gradient }
}

describe('log-probabilities at a vocabulary of 151 936', () => {
  it('512 tokens of width 2048, forward and backward: less than 64 MB of scratch', () => {
    const { scratchBytes } = planHead(512, 2048)
    const logitsBytes = 512 * VOCABULARY * 4
    expect(scratchBytes).toBeGreaterThan(0)
    expect(scratchBytes).toBeLessThan(LIMIT_BYTES)
    expect(scratchBytes).toBeLessThan(logitsBytes / 4)
  })

  it('runs so: fewer tokens, a narrower head, values and gradients of the f64 reference', async () => {
    const [tokens, width] = [4, 16]
    const { plan, targets, dout, out, scratchBytes } = planHead(tokens, width)
    const executor = await createCpuExecutor({ threads: 1 })
    const [hidden, head] = [numbers(tokens * width, 1), numbers(VOCABULARY * width, 2)]
    for (const [name, data] of [
      ['hidden', hidden],
      ['head', head],
    ] as const) {
      executor.allocate(name, data.length)
      executor.allocate(`d ${name}`, data.length)
      executor.writeRegion(name, 0, data)
    }
    const before = executor.byteLength()
    const loaded = executor.load(plan)
    const wanted = Int32Array.from({ length: tokens }, (_, t) => (t * 30_011 + 7) % VOCABULARY)
    const [a, b] = [-0.5, 0.25]
    loaded.write(targets, wanted)
    loaded.write(
      dout,
      Float32Array.from({ length: tokens * 2 }, (_, i) => (i % 2 === 0 ? a : b)),
    )
    await loaded.run('forward')
    await loaded.run('backward')
    // what the executor adds of its own (a record a call) counts too
    expect(executor.byteLength() - before - plan.arenaByteLength).toBeLessThan(2 ** 20)
    expect(scratchBytes).toBeLessThan(LIMIT_BYTES)
    const got = await loaded.read(out)
    const gradient = await executor.readRegion('d hidden', 0, hidden.length)
    for (let t = 0; t < tokens; t++) {
      const expected = reference(hidden.subarray(t * width, (t + 1) * width), head, wanted[t]!, a, b)
      expect(got[t * 4]).toBeCloseTo(expected.logprob, 3)
      expect(got[t * 4 + 1]).toBeCloseTo(expected.entropy, 3)
      for (let i = 0; i < width; i++) expect(gradient[t * width + i]).toBeCloseTo(expected.gradient[i]!, 3)
    }
    loaded.free()
    await executor.close()
  })
})
