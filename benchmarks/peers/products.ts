/**
 * Matrix products of ours and of the JavaScript peers (and of PyTorch, as what native AVX code does), GFLOP/s. C[M, N] = A[M, K] B[K, N]. Operands and result
 * stay where each library keeps its tensors, except where a row says that they are copied.
 */
import { type CpuBuild, createCpuExecutor } from '../../packages/kernels/src/index.ts'
import { loadGemm, timePhase } from '../kernels.ts'
import type { Comparison } from '../peers.ts'
import { type Case, interleave, median } from '../timing.ts'
import type { Effort } from '../workload.ts'
import { startScript } from './javascript.ts'
import type { PeerProcess } from './peer-process.ts'
import { type PythonPeer, startPython, variantsOf } from './python-process.ts'

const shapes = [
  { M: 512, N: 512, K: 512 },
  { M: 2048, N: 128, K: 128 },
  { M: 4096, N: 256, K: 96 },
  { M: 4096, N: 96, K: 256 },
  { M: 128, N: 256, K: 96 },
] as const
const label = ({ M, N, K }: (typeof shapes)[number]) => `${M}x${N}x${K}`

interface Contender {
  readonly name: string
  readonly threads: number
  /** Milliseconds of one product. */
  readonly run: (shape: (typeof shapes)[number]) => Promise<number>
  readonly close: () => Promise<void> | void
}

async function ours(threads: number, build?: CpuBuild): Promise<Contender> {
  const executor = await createCpuExecutor({ threads, ...(build ? { build } : {}) })
  const plans = new Map(
    shapes.map((shape) => [
      label(shape),
      loadGemm(executor, { ...shape, mode: 'nn', adds: false }, 4, label(shape)).loaded,
    ]),
  )
  for (const plan of plans.values()) await plan.run('forward')
  return {
    name: 'ours',
    threads,
    run: (shape) => timePhase(plans.get(label(shape))!, 'run', 4, {}, null, 30),
    close: () => executor.close(),
  }
}

async function peer({ name, threads, start, ask }: Peer): Promise<Contender> {
  const child = start()
  await child.ready()
  return {
    name,
    threads,
    run: (shape) => child.milliseconds({ op: 'matmul', ...shape, ...ask }),
    close: () => child.close(),
  }
}

interface Peer {
  readonly name: string
  readonly threads: number
  readonly start: () => PeerProcess
  /** More of the request. */
  readonly ask?: Readonly<Record<string, unknown>>
}

const javaScriptPeers = (folder: string): Peer[] => [
  { name: 'tfjs wasm', threads: 1, start: () => startScript(folder, 'tfjs.mjs') },
  { name: 'jax-js wasm', threads: 1, start: () => startScript(folder, 'jax.mjs') },
  ...[1, 2].flatMap((threads) =>
    [
      { name: 'onnxruntime-web wasm, operands and result copied', ask: { copies: true } },
      { name: 'onnxruntime-web wasm, product alone', ask: { copies: false } },
    ].map((one) => ({ ...one, threads, start: () => startScript(folder, 'ort.mjs', String(threads)) })),
  ),
]

const pythonPeers = (python: PythonPeer): Peer[] =>
  variantsOf(python).map((variant) => ({
    name: ['PyTorch (native)', variant.how].filter(Boolean).join(', '),
    threads: variant.threads,
    start: () => startPython(python, 'model', 'nano', variant),
  }))

export async function compareProducts(
  js: string | null,
  python: PythonPeer | null,
  effort: Effort,
): Promise<Comparison> {
  const contenders: Contender[] = [await ours(1, effort.build), await ours(2, effort.build)]
  const notes: string[] = []
  for (const one of [...(js ? javaScriptPeers(js) : []), ...(python ? pythonPeers(python) : [])]) {
    try {
      contenders.push(await peer(one))
    } catch (error) {
      notes.push(`${one.name}, ${one.threads} threads: could not run: ${(error as Error).message}`)
    }
  }
  const samples: Record<string, Record<string, number[]>> = {}
  const key = ({ name, threads }: Contender) => `${name}, ${threads}`
  try {
    for (const shape of effort.quick ? shapes.slice(4) : shapes) {
      const cases: Case<number>[] = contenders.map((contender) => ({
        name: key(contender),
        run: () => contender.run(shape),
      }))
      samples[label(shape)] = Object.fromEntries(await interleave(cases, effort.quick ? 1 : (effort.repetitions ?? 7)))
    }
  } finally {
    for (const contender of contenders) await contender.close()
  }
  const measured = shapes.filter((shape) => samples[label(shape)])
  const rows = contenders.map((contender) => [
    contender.name,
    contender.threads,
    ...measured.map(
      (shape) => (2 * shape.M * shape.N * shape.K) / median(samples[label(shape)]![key(contender)]!) / 1e6,
    ),
  ])
  const columns = ['GFLOP/s, M x N x K', 'threads', ...measured.map(label)]
  notes.push(
    'tfjs and jax-js have no threads under Node. PyTorch runs native code with wider registers than WebAssembly has.',
    'onnxruntime-web takes its operands from JavaScript and gives its result back at each call; product alone: nine products a call less one, an eighth of it.',
  )
  return { tables: [{ title: 'Matrix products against peers', columns, rows, notes }], samples }
}
