/**
 * Ours against PyTorch: training step, generation, and a whole RL step against TRL. On the CPU ours has as many threads as the peer; on a GPU ours runs on
 * WebGPU and the peer on CUDA.
 */

import { availableParallelism } from 'node:os'
import {
  type CpuBuild,
  createCpuExecutor,
  createWebGpuExecutor,
  type Executor,
} from '../../packages/kernels/src/index.ts'
import type { Model } from '../../packages/model/src/index.ts'
import { decodeMs, runDecode } from '../decode.ts'
import type { Comparison } from '../peers.ts'
import { openProductStep } from '../product-step.ts'
import { type Case, interleave } from '../timing.ts'
import { runTrainStep } from '../train.ts'
import { createSequences, type Effort, loadWorkload, openModel, PROMPT_TOKENS, type Workload } from '../workload.ts'
import { comparisonTables, type Measured, type Sample, type Work } from './comparison.ts'
import type { PeerProcess } from './peer-process.ts'
import { type PythonPeer, type PythonVariant, startPython, variantsOf } from './python-process.ts'

export interface Ours {
  /** 0: WebGPU. */
  readonly threads: number
  readonly model: Model
  close(): Promise<void>
}

export async function openOurs(workload: Workload, threads: number, build?: CpuBuild): Promise<Ours> {
  const cpu = { threads, ...(build ? { build } : {}) }
  const executor: Executor = threads === 0 ? await createWebGpuExecutor() : await createCpuExecutor(cpu)
  const model = openModel(workload, executor)
  return {
    threads,
    model,
    close: async () => {
      model.close()
      await executor.close()
    },
  }
}

const threadCounts = ({ device }: PythonPeer): readonly number[] => (device === 'cuda' ? [0] : [1, 2])
const oursHow = (threads: number): string => (threads === 0 ? 'WebGPU' : '')

/** What is measured of everyone, by who it is. */
interface Contender<T> {
  readonly label: Omit<Measured, 'samples'>
  readonly run: (step: number) => Promise<T>
}

async function measure<T>(contenders: readonly Contender<T>[], repetitions: number) {
  const cases: Case<T>[] = contenders.map(({ run }, i) => ({ name: String(i), run }))
  const results = await interleave(cases, repetitions)
  return contenders.map(({ label }, i) => ({ label, times: results.get(String(i))! }))
}

const samplesOf = <T>(
  measured: readonly { label: Contender<T>['label']; times: readonly T[] }[],
  pick: (time: T) => Sample,
): Measured[] => measured.map(({ label, times }) => ({ ...label, samples: times.map(pick) }))

type Side<T> = { readonly variant: PythonVariant; readonly process: T }

const oursLabel = ({ threads }: { threads: number }) => ({ who: 'ours', ours: true, threads, how: oursHow(threads) })
const peerLabel = (who: string, { threads, how }: PythonVariant) => ({ who, ours: false, threads, how })

async function compareTraining(
  workload: Workload,
  ours: readonly Ours[],
  peers: readonly Side<PeerProcess>[],
): Promise<Work> {
  const { sequences, sequenceTokens, repetitions } = workload.sizes
  const tokens = sequences * sequenceTokens
  const ask = { op: 'train', sequences, tokens: sequenceTokens, prompt: PROMPT_TOKENS }
  const contenders: Contender<Sample>[] = [
    ...ours.map((one) => ({
      label: oursLabel(one),
      run: async (step: number) => ({
        ms: (await runTrainStep(one.model, createSequences(workload, step))).whole,
        tokens,
      }),
    })),
    ...peers.map(({ variant, process: peer }) => ({
      label: peerLabel('PyTorch eager', variant),
      run: async () => ({ ms: await peer.milliseconds(ask), tokens }),
    })),
  ]
  const name = `training step, ${workload.name}, ${sequences} x ${sequenceTokens}`
  return { name, measured: samplesOf(await measure(contenders, repetitions), (sample) => sample) }
}

/** Decoding alone, and with prefill: two readings of the same runs. */
async function compareGeneration(
  workload: Workload,
  ours: readonly Ours[],
  peers: readonly Side<PeerProcess>[],
): Promise<Work[]> {
  const { decodeBatch, decodeTokens, repetitions } = workload.sizes
  const ask = { op: 'generate', sequences: decodeBatch, prompt: PROMPT_TOKENS, tokens: 1 + decodeTokens }
  const counts = { decodedTokens: decodeBatch * decodeTokens, tokens: decodeBatch * (decodeTokens + 1) }
  const contenders: Contender<Awaited<ReturnType<typeof runDecode>>>[] = [
    ...ours.map((one) => ({
      label: oursLabel(one),
      run: (step: number) => runDecode(one.model, workload, step),
    })),
    ...peers.map(({ variant, process: peer }) => ({
      label: peerLabel('transformers generate', variant),
      run: async () => ({ ...(await peer.numbers(ask, ['firstMs', 'wholeMs'])), ...counts }),
    })),
  ]
  const measured = await measure(contenders, Math.min(5, repetitions))
  const where = `${workload.name}, ${decodeBatch} x ${1 + decodeTokens}`
  return [
    {
      name: `decoding after the first token, ${where}`,
      measured: samplesOf(measured, (times) => ({ ms: decodeMs(times), tokens: times.decodedTokens })),
    },
    {
      name: `decoding with prefill, ${where}`,
      measured: samplesOf(measured, ({ wholeMs, tokens }) => ({ ms: wholeMs, tokens })),
    },
  ]
}

async function ready(peers: readonly Side<PeerProcess>[]): Promise<Readonly<Record<string, unknown>>[]> {
  const answers: Readonly<Record<string, unknown>>[] = []
  for (const { process: peer } of peers) answers.push(await peer.ready())
  return answers
}

export async function comparePyTorch(peer: PythonPeer, effort: Effort): Promise<Comparison> {
  const works: Work[] = []
  let versions = ''
  for (const name of ['nano', 'small'] as const) {
    const kind = peer.device === 'cuda' ? 'gpu' : 'cpu'
    const workload = await loadWorkload(name, kind, effort)
    const peers = variantsOf(peer).map((variant) => ({ variant, process: startPython(peer, 'model', name, variant) }))
    const ours: Ours[] = []
    try {
      versions = String((await ready(peers))[0]!.ready)
      for (const threads of threadCounts(peer)) ours.push(await openOurs(workload, threads, effort.build))
      works.push(await compareTraining(workload, ours, peers))
      works.push(...(await compareGeneration(workload, ours, peers)))
    } finally {
      for (const { process: child } of peers) child.close()
      for (const one of ours) await one.close()
    }
  }
  const notes = [
    `${versions}, float32; AdamW fused, gradients clipped to norm 1, attention by scaled_dot_product_attention. Machine with ${availableParallelism()} processors.`,
    'The peer is given pixel values ready for the model; our time includes resizing and cutting the images. Nothing is shared between sequences.',
    'Decoding is cut in each run where every sequence has its first token (stopping criterion there, counters of the sampler here); tokens are those sampled after it.',
    'No side samples image pads: the peer suppresses the four vision tokens, ours draws again where a pad comes, in the time measured.',
  ]
  const title = peer.device === 'cuda' ? 'WebGPU against PyTorch on CUDA' : 'Against PyTorch on the CPU'
  return { tables: comparisonTables(title, works, notes), samples: works }
}

const ROLLOUT_TOKENS = 30

/** What a step is on either side: printed with the figures. */
const stepNotes = (trl: string, promptTokens: number, tokens: number) => [
  `${trl}. One optimiser step each: prompts of ${promptTokens} tokens on both sides (checked), the same texts, an image of 128 x 128 noise, every rollout ${tokens} sampled tokens (checked), GRPO with DAPO's token mean, no reference model, no checkpointing of activations, gradients clipped, AdamW, float32. Questions and images are in memory before the clock starts.`,
  "Both in the time: rendering the chat template, tokenising, image processing, sampling, decoding to text, a reward that costs nothing, advantages, forward, backward, clipping, AdamW, the step's own metrics. In neither: writing logs and checkpoints.",
  "Only ours: the agent loop (parsing turns, segments, hashing images), the check that learner and sampler agree to the bit, drawing again where an image pad is sampled. Only TRL's: fetching the batch is left out of its time, rollouts share no prompt, pixel values are repeated for each rollout.",
]

export async function compareTrl(peer: PythonPeer, effort: Effort): Promise<Comparison> {
  const [questions, rollouts, tokens] = effort.quick ? [2, 4, 6] : [16, 8, ROLLOUT_TOKENS]
  const repetitions = effort.quick ? 1 : (effort.repetitions ?? 5)
  const sizes = { questions, rollouts, tokens, steps: repetitions + 1 }
  const peers = variantsOf(peer).map((variant) => ({
    variant,
    process: startPython(peer, 'trl', 'nano', variant, sizes),
  }))
  const ours: { threads: number; step: Awaited<ReturnType<typeof openProductStep>> }[] = []
  try {
    const answers = await ready(peers)
    for (const threads of threadCounts(peer))
      ours.push({
        threads,
        step: await openProductStep(threads, threads === 0 ? 'webgpu' : 'cpu', sizes, effort.build),
      })
    const { promptTokens } = ours[0]!.step
    for (const answer of answers)
      if (answer.promptTokens !== promptTokens)
        throw new Error(
          `prompts must have as many tokens on both sides, got ${promptTokens} and ${answer.promptTokens}.`,
        )
    const count = questions * rollouts * tokens
    const contenders: Contender<Sample>[] = [
      ...ours.map(({ threads, step: product }) => ({
        label: oursLabel({ threads }),
        run: async (step: number) => {
          const { wholeMs, sampledTokens } = await product.run(step)
          return { ms: wholeMs, tokens: sampledTokens }
        },
      })),
      ...peers.map(({ variant, process: child }) => ({
        label: peerLabel('TRL GRPOTrainer', variant),
        run: async () => ({ ms: await child.milliseconds({ op: 'step' }), tokens: count }),
      })),
    ]
    const measured = samplesOf(await measure(contenders, repetitions), (sample) => sample)
    const works = [{ name: `RL step, nano, ${questions} x ${rollouts} rollouts of ${tokens} tokens`, measured }]
    const notes = stepNotes(String(answers[0]!.ready), promptTokens, tokens)
    return { tables: comparisonTables('Whole RL step against TRL', works, notes), samples: works }
  } finally {
    for (const { process: child } of peers) child.close()
    for (const { step } of ours) await step.close()
  }
}
