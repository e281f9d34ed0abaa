/**
 * GFLOP/s of matrix products, best of some repetitions of some calls:
 *
 *   node packages/kernels/benchmarks/kernels.ts [threads = 1 | webgpu] [fma | plain | wide]
 *
 * And GFLOP for each second that the threads which compute were busy (on a software adapter the driver's), which other programs on the machine
 * hardly change. Not here: the kernels of a step and their share of the peak, in the build that is chosen by itself (`npm run bench -- --only kernels`).
 */
import {
  type CpuBuild,
  createCpuExecutor,
  createWebGpuExecutor,
  type Executor,
  Graph,
  gemmMode,
  int,
  planGraph,
} from '../src/index.ts'
import { gemm } from '../src/ops/gemm/gemm.ts'

const which = process.argv[2] ?? '1'
const build = process.argv[3] as CpuBuild | undefined
// on a busy machine the best of many short runs is one that nothing broke into
const [REPETITIONS, CALLS] = which === 'webgpu' ? [4, 3] : [100, 1]
const executor: Executor =
  which === 'webgpu'
    ? await createWebGpuExecutor()
    : await createCpuExecutor({ threads: Number(which), ...(build ? { build } : {}) })
console.log(executor.describe())

/** Milliseconds computed by the threads that do the work: all on the CPU executor, all but this one on a software adapter. */
function busyMs(): number {
  const [all, own] = [process.cpuUsage(), process.threadCpuUsage()]
  const spent = all.user + all.system - (executor.kind === 'webgpu' ? own.user + own.system : 0)
  return spent / 1000
}

for (const [M, N, K] of [
  [2048, 128, 128],
  [2048, 384, 128],
  [2048, 128, 384],
  [2000, 256, 96],
  [2000, 96, 256],
  [256, 256, 96],
  [16, 256, 96],
] as const)
  for (const mode of [gemmMode.nt, gemmMode.nn, gemmMode.tn]) {
    const g = new Graph()
    const [a, b, c] = [g.host('a', M, K), g.host('b', N, K), g.host('c', M, N)]
    const words = { M: int(M), N: int(N), K: int(K), mode: int(mode), acc: int(0) }
    const call = { kernel: gemm, tensors: { a, b, c }, words }
    const loaded = executor.load(planGraph(g, { phases: { run: Array.from({ length: CALLS }, () => call) } }))
    for (const tensor of [a, b]) loaded.write(tensor, new Float32Array(tensor.rows.count * K).fill(0.5))
    await loaded.run('run')
    await loaded.read(c, 1)
    const busy = busyMs()
    let best = Number.POSITIVE_INFINITY
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      const start = performance.now()
      await loaded.run('run')
      if (executor.kind === 'webgpu') await loaded.read(c, 1)
      best = Math.min(best, performance.now() - start)
    }
    const flop = 2 * M * N * K * CALLS
    const perBusy = (flop * REPETITIONS) / (busyMs() - busy) / 1e6
    loaded.free()
    console.log(
      `${M}x${N}x${K} mode ${mode}: ${(flop / best / 1e6).toFixed(1)} GFLOP/s, ${perBusy.toFixed(1)} a busy second`,
    )
  }
await executor.close()
process.exit(0)
