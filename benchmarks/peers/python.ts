/** Ours against PyTorch: training step, generation, and a whole RL step against TRL. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CpuExecutor, createCpuExecutor } from '../../packages/kernels/src/index.ts'
import type { Model } from '../../packages/model/src/index.ts'
import { runDecode } from '../decode.ts'
import type { Comparison } from '../peers.ts'
import type { Table } from '../report.ts'
import { runRlStep } from '../rl-step.ts'
import { interleave, median, ratio } from '../timing.ts'
import { runTrainStep } from '../train.ts'
import {
  type ConfigName,
  createSequences,
  directories,
  type Effort,
  loadWorkload,
  openModel,
  PROMPT_TOKENS,
  type Sizes,
  type Workload,
} from '../workload.ts'
import { PeerProcess } from './peer-process.ts'

const script = fileURLToPath(new URL('./torch_peer.py', import.meta.url))
const tokenizer = fileURLToPath(new URL('../../packages/tasks/nano', import.meta.url))
const THREADS = 2

function startPython(
  folder: string,
  mode: 'model' | 'trl',
  config: ConfigName,
  threads: number,
  more: readonly string[] = [],
): PeerProcess {
  const args = [
    script,
    mode,
    '--config',
    directories[config],
    '--tokenizer',
    tokenizer,
    '--threads',
    String(threads),
    '--scratch',
    join(folder, 'scratch'),
    ...more,
  ]
  return new PeerProcess(join(folder, 'bin', 'python'), args, {
    cwd: folder,
    // GNU OpenMP's threads otherwise spin at barriers, which costs PyTorch many times its work wherever a core is shared
    env: { OMP_NUM_THREADS: String(threads), OMP_WAIT_POLICY: 'passive', GOMP_SPINCOUNT: '0' },
  })
}

/** Answers { op: 'matmul' } only. */
export function startMatmulPeer(folder: string, threads: number): PeerProcess {
  return startPython(folder, 'model', 'nano', threads)
}

export interface Ours {
  readonly model: Model
  readonly executor: CpuExecutor
  close(): Promise<void>
}

export async function openOurs(workload: Workload, threads: number): Promise<Ours> {
  const executor = await createCpuExecutor({ threads })
  const model = openModel(workload, executor)
  return {
    model,
    executor,
    close: async () => {
      model.close()
      await executor.close()
    },
  }
}

export interface Line {
  readonly work: string
  readonly ours: readonly number[]
  readonly peer: readonly number[]
  readonly peerName: string
  /** Tokens the time is for. */
  readonly tokens: number
}

export const comparisonLine = ({ work, ours, peer, peerName, tokens }: Line): (string | number)[] => [
  work,
  peerName,
  median(ours),
  median(peer),
  (tokens / median(ours)) * 1000,
  (tokens / median(peer)) * 1000,
  ratio(peer, ours),
]
export const comparisonColumns = [
  'work',
  'peer',
  'ours ms',
  'peer ms',
  'ours tokens/s',
  'peer tokens/s',
  'times as fast',
]

async function compareTraining(workload: Workload, ours: Ours, peer: PeerProcess, threads: number): Promise<Line> {
  const { sequences, sequenceTokens, repetitions } = workload.sizes
  const results = await interleave<number>(
    [
      { name: 'ours', run: async (step) => (await runTrainStep(ours.model, createSequences(workload, step))).whole },
      {
        name: 'peer',
        run: () => peer.milliseconds({ op: 'train', sequences, tokens: sequenceTokens, prompt: PROMPT_TOKENS }),
      },
    ],
    repetitions,
  )
  return {
    work: `training step, ${workload.name}, ${sequences} x ${sequenceTokens}, ${threads} thread${threads === 1 ? '' : 's'}`,
    peerName: 'PyTorch eager',
    ours: results.get('ours')!,
    peer: results.get('peer')!,
    tokens: sequences * sequenceTokens,
  }
}

async function compareGeneration(workload: Workload, ours: Ours, peer: PeerProcess, threads: number): Promise<Line[]> {
  const { decodeBatch, decodeTokens, repetitions } = workload.sizes
  const ask = (tokens: number) =>
    peer.milliseconds({ op: 'generate', sequences: decodeBatch, prompt: PROMPT_TOKENS, tokens })
  const results = await interleave<{ firstMs: number; wholeMs: number }>(
    [
      { name: 'ours', run: (step) => runDecode(ours.model, workload, step) },
      { name: 'peer', run: async () => ({ firstMs: await ask(1), wholeMs: await ask(1 + decodeTokens) }) },
    ],
    Math.min(5, repetitions),
  )
  const of = (who: string, ms: (times: { firstMs: number; wholeMs: number }) => number) => results.get(who)!.map(ms)
  const where = `${workload.name}, ${decodeBatch} x ${decodeTokens}, ${threads} thread${threads === 1 ? '' : 's'}`
  const whole = (times: { wholeMs: number }) => times.wholeMs
  const alone = (times: { firstMs: number; wholeMs: number }) => times.wholeMs - times.firstMs
  const peerName = 'transformers generate'
  return [
    {
      work: `decoding, ${where}`,
      peerName,
      ours: of('ours', alone),
      peer: of('peer', alone),
      tokens: decodeBatch * decodeTokens,
    },
    {
      work: `decoding with prefill, ${where}`,
      peerName,
      ours: of('ours', whole),
      peer: of('peer', whole),
      tokens: decodeBatch * (decodeTokens + 1),
    },
  ]
}

export async function comparePyTorch(folder: string, effort: Effort): Promise<Comparison> {
  const lines: Line[] = []
  const names: unknown[] = []
  for (const name of ['nano', 'small'] as const)
    for (const threads of [1, THREADS]) {
      if (threads === 1 && (name === 'small' || effort.quick)) continue
      const workload = await loadWorkload(name, 'cpu', effort)
      const peer = startPython(folder, 'model', name, threads)
      const ours = await openOurs(workload, threads)
      try {
        names.push(await peer.ready())
        lines.push(await compareTraining(workload, ours, peer, threads))
        lines.push(...(await compareGeneration(workload, ours, peer, threads)))
      } finally {
        peer.close()
        await ours.close()
      }
    }
  const notes = [
    `${(names[0] as { ready: string }).ready}, float32; AdamW fused, gradients clipped to norm 1, attention by scaled_dot_product_attention.`,
    'The peer is given pixel values ready for the model; our time includes resizing and cutting the images. Nothing is shared between sequences.',
  ]
  const table: Table = {
    title: 'Against PyTorch on the CPU',
    columns: comparisonColumns,
    rows: lines.map(comparisonLine),
    notes,
  }
  return { tables: [table], samples: lines }
}

const ROLLOUT_TOKENS = 30

/** Ours on prompts of as many tokens as TRL's; every rollout has 30 sampled tokens on both sides. */
export async function compareTrl(folder: string, effort: Effort): Promise<Comparison> {
  const sizes: Partial<Sizes> = effort.quick
    ? { questions: 2, samples: 4, repetitions: 1 }
    : { questions: 16, samples: 8, repetitions: effort.repetitions ?? 5 }
  const loaded = await loadWorkload('nano', 'cpu', effort)
  const workload: Workload = { ...loaded, sizes: { ...loaded.sizes, ...sizes } }
  const { questions, samples, repetitions } = workload.sizes
  const tokens = effort.quick ? 6 : ROLLOUT_TOKENS
  const more = Object.entries({ questions, rollouts: samples, tokens, steps: repetitions + 1 }).flatMap(
    ([key, value]) => [`--${key}`, String(value)],
  )
  const peer = startPython(folder, 'trl', 'nano', THREADS, more)
  const ours = await openOurs(workload, THREADS)
  try {
    const { ready, promptTokens } = (await peer.ready()) as { ready: string; promptTokens: number }
    const variant = { shared: true, continuations: 0, lengthOf: () => tokens, promptTokens }
    const results = await interleave<number>(
      [
        { name: 'ours', run: async (step) => (await runRlStep(ours.model, workload, variant, step)).wholeMs },
        { name: 'peer', run: () => peer.milliseconds({ op: 'step' }) },
      ],
      repetitions,
    )
    const one: Line = {
      work: `RL step, nano, ${questions} x ${samples} rollouts of ${tokens} tokens, ${THREADS} threads`,
      peerName: 'TRL GRPOTrainer',
      ours: results.get('ours')!,
      peer: results.get('peer')!,
      tokens: questions * samples * tokens,
    }
    const notes = [
      `${ready}: images in the prompts, transformers' generate, no reference model, no gradient checkpointing, one update a batch, float32.`,
      `Prompts of ${promptTokens} tokens with one image on both sides; every rollout runs to ${tokens} tokens; both prepare images, sample, learn and step. Tokens/s are sampled tokens over the whole step.`,
    ]
    return {
      tables: [{ title: 'Whole RL step against TRL', columns: comparisonColumns, rows: [comparisonLine(one)], notes }],
      samples: one,
    }
  } finally {
    peer.close()
    await ours.close()
  }
}
