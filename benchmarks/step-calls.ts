/**
 * The kernel calls of a model's training step (forward and backward over one packed micro-batch), each with its size, the same ones counted together, and a
 * plan that can repeat each by itself. Not here: timing (kernels.ts).
 */
import {
  buildBackward,
  type Call,
  type Executor,
  forwardCalls,
  type Graph,
  type Live,
  type LoadedPlan,
  type Plan,
  planGraph,
  type Tensor,
  wordValue,
} from '../packages/kernels/src/index.ts'
import {
  createInitialParameters,
  type ParameterList,
  planMicroBatches,
  planParameters,
} from '../packages/model/src/index.ts'
import { buildPackedGraph, liveWords, type PackedGraph, writeMicroBatch } from '../packages/model/src/packed-graph.ts'
import { buildStepGraph } from '../packages/model/src/sampler-graph.ts'
import { capacitiesFor, createSequences, type Workload } from './workload.ts'

export interface GemmShape {
  readonly M: number
  readonly N: number
  readonly K: number
  /** nt: A·B^T, nn: A·B, tn: A^T·B. */
  readonly mode: 'nt' | 'nn' | 'tn'
  /** The product is added to what is there: gradients of weights. */
  readonly adds: boolean
}

export interface StepCall {
  /** Phase of the plan that repeats it. */
  readonly phase: string
  readonly kernel: string
  readonly countInStep: number
  readonly gemm: GemmShape | null
  /** Floating-point operations of a call; 0 where bytes say more. */
  readonly operations: number
  /** f32 bytes of all its operands. */
  readonly byteLength: number
  /** Integer words, for a label. */
  readonly size: string
}

export interface StepPlan {
  readonly plan: Plan
  readonly calls: readonly StepCall[]
  readonly live: Live
  /** Calls repeated in a phase. */
  readonly repeats: number
  load(executor: Executor): LoadedPlan
}

const modes = ['nt', 'nn', 'tn'] as const

function wordsOf(call: Call, live: Live): Record<string, number> {
  return Object.fromEntries(Object.entries(call.words).map(([name, word]) => [name, wordValue(word, live)]))
}

/** Shape of a matrix product; a kernel named gemm without these words is a mistake worth stopping for. */
export function gemmShape(call: Call, live: Live): GemmShape {
  const { M, N, K, mode, acc } = wordsOf(call, live)
  const spelled = modes[mode ?? -1]
  if (!M || !N || !K || !spelled)
    throw new Error(
      `bench: ${call.kernel.name} must have words M, N, K, mode, got ${Object.keys(call.words)}. Adapt step-calls.ts.`,
    )
  return { M, N, K, mode: spelled, adds: acc === 1 }
}

function liveElements(tensor: Tensor, live: Live): number {
  return tensor.rows.count * (tensor.rows.symbol === null ? 1 : live[tensor.rows.symbol]!) * tensor.width
}

/** Visible (query, key) pairs, by the query rows of the attention that sees them. */
type PairCount = (rows: number) => number

const attentionFactor: Readonly<Record<string, number>> = { attention: 4, attention_dq: 6, attention_dkv: 8 }

function describeCall(call: Call, live: Live, pairs: PairCount, phase: string): StepCall {
  const words = wordsOf(call, live)
  const { name } = call.kernel
  const gemm = name.startsWith('gemm') ? gemmShape(call, live) : null
  const factor = attentionFactor[name] ?? 0
  const operations = gemm
    ? 2 * gemm.M * gemm.N * gemm.K
    : factor * (words.H ?? 0) * (words.C ?? 0) * pairs(words.rows ?? words.kvRows ?? 0)
  const floats = Object.values(call.tensors).filter(({ dtype }) => dtype === 'f32')
  const shown = Object.entries(words).filter(([key]) => /^(rows|kvRows|width|n|H|K|C|heads|count|tileWidth)$/.test(key))
  return {
    phase,
    kernel: name,
    countInStep: 1,
    gemm,
    operations,
    byteLength: floats.reduce((sum, tensor) => sum + 4 * liveElements(tensor, live), 0),
    size: gemm ? `${gemm.M}x${gemm.N}x${gemm.K}` : shown.map(([key, value]) => `${key} ${value}`).join(', '),
  }
}

function uniqueCalls(calls: readonly Call[], live: Live, pairs: PairCount, repeats: number) {
  const found = new Map<string, StepCall>()
  const phases: Record<string, Call[]> = {}
  for (const call of calls) {
    const key = `${call.kernel.name} ${JSON.stringify(wordsOf(call, live))}`
    const known = found.get(key)
    if (known) {
      found.set(key, { ...known, countInStep: known.countInStep + 1 })
      continue
    }
    const phase = `call ${found.size}`
    found.set(key, describeCall(call, live, pairs, phase))
    phases[phase] = Array.from({ length: repeats }, () => call)
  }
  return { calls: [...found.values()], phases }
}

function loadStep(
  executor: Executor,
  plan: Plan,
  list: ParameterList,
  parameters: Float32Array,
  packed: PackedGraph,
  write: (loaded: LoadedPlan) => void,
): LoadedPlan {
  executor.allocate('params', list.elementCount)
  executor.allocate('grads', list.elementCount)
  executor.writeRegion('params', 0, parameters)
  const loaded = executor.load(plan)
  write(loaded)
  const { dout, graph } = packed
  if (dout) loaded.write(dout, new Float32Array(graph.capacityRows(dout.rows) * dout.width).fill(-1e-3))
  return loaded
}

/** The training step of a workload's sequences, `repeats` calls a phase. */
export function planStepCalls(workload: Workload, repeats: number): StepPlan {
  const { config, processor } = workload
  const list = planParameters(config)
  const capacities = capacitiesFor(workload).train
  const [micro, ...rest] = planMicroBatches(createSequences(workload, 1), config.imageTokenId, processor, capacities)
  if (rest.length > 0)
    throw new Error(`bench: a step must fit one micro-batch, got ${1 + rest.length}. Raise its capacities.`)
  const packed = buildPackedGraph({ config, list, capacities, region: 'params', gradientRegion: 'grads' })
  const { graph } = packed
  const live = liveWords(micro!, 1)
  const forward = forwardCalls(graph)
  const backward = buildBackward(graph)
  const textPairs = micro!.spanPairs.reduce((sum, value, i) => sum + (i % 2 === 1 ? value : 0), 0)
  const imagePairs = micro!.images.reduce((sum, { tokenCount }) => sum + (tokenCount * 4) ** 2, 0)
  const pairs: PairCount = (rows) => (rows === micro!.tokens.length ? textPairs : imagePairs)
  const { calls, phases } = uniqueCalls([...forward, ...backward], live, pairs, repeats)
  const plan = planGraph(graph, { phases: { forward, backward, ...phases } })
  const parameters = createInitialParameters(config, 1)
  const write = (loaded: LoadedPlan) => writeMicroBatch(loaded, packed, micro!, processor)
  return { plan, calls, live, repeats, load: (executor) => loadStep(executor, plan, list, parameters, packed, write) }
}

/** Products of one decoding step of `rows` sequences, each once, with how often it comes. */
export function decodeShapes({ config }: Workload, rows: number): { shape: GemmShape; count: number }[] {
  const list = planParameters(config)
  const capacities = {
    stepTokens: rows,
    sequences: rows,
    stepSpans: rows,
    kvRows: 64,
    featureRows: 64,
    encodeTokens: 64,
  }
  const graph: Graph = buildStepGraph(config, list, 'params', capacities).graph
  const live = { T: rows, S: rows, invTemperature: 1, noise: 1 }
  const found = new Map<string, { shape: GemmShape; count: number }>()
  for (const call of forwardCalls(graph)) {
    if (!call.kernel.name.startsWith('gemm')) continue
    const shape = gemmShape(call, live)
    const key = JSON.stringify(shape)
    const known = found.get(key)
    if (known) known.count++
    else found.set(key, { shape, count: 1 })
  }
  return [...found.values()]
}
