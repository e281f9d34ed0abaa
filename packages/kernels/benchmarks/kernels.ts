/**
 * GFLOP/s of matrix products, best of some repetitions of some calls:
 *
 *   node packages/kernels/benchmarks/kernels.ts [threads = 1 | webgpu]
 *
 * On a software adapter it also prints GFLOP for each second its driver's threads computed, which other programs on the machine do not change.
 */
import {
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
const [REPETITIONS, CALLS] = which === 'webgpu' ? [4, 3] : [20, 10]
const executor: Executor =
  which === 'webgpu' ? await createWebGpuExecutor() : await createCpuExecutor({ threads: Number(which) })
console.log(executor.describe())

/** Milliseconds that threads other than this one have computed. */
function othersBusyMs(): number {
  const [all, own] = [process.cpuUsage(), process.threadCpuUsage()]
  return (all.user + all.system - own.user - own.system) / 1000
}

for (const [M, N, K] of [
  [2048, 128, 128],
  [2048, 384, 128],
  [2048, 128, 384],
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
    const busy = othersBusyMs()
    let best = Number.POSITIVE_INFINITY
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      const start = performance.now()
      await loaded.run('run')
      if (executor.kind === 'webgpu') await loaded.read(c, 1)
      best = Math.min(best, performance.now() - start)
    }
    const flop = 2 * M * N * K * CALLS
    const perBusy = (flop * REPETITIONS) / (othersBusyMs() - busy) / 1e6
    loaded.free()
    console.log(
      `${M}x${N}x${K} mode ${mode}: ${(flop / best / 1e6).toFixed(1)} GFLOP/s` +
        (executor.kind === 'webgpu' ? `, ${perBusy.toFixed(2)} a busy second of the driver` : ''),
    )
  }
await executor.close()
process.exit(0)
