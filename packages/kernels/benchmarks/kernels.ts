/** GFLOP/s of matrix products on the CPU executor, best of 20 repetitions: node benchmarks/kernels.ts [threads]. */
import { createCpuExecutor, Graph, gemmMode, int, planGraph } from '../src/index.ts'
import { gemm } from '../src/ops/gemm/gemm.ts'

const executor = await createCpuExecutor({ threads: Number(process.argv[2] ?? 1) })
console.log(executor.describe())
for (const [M, N, K] of [
  [2048, 128, 128],
  [2048, 384, 128],
  [2048, 128, 384],
  [32, 128, 128],
] as const)
  for (const mode of [gemmMode.nt, gemmMode.nn, gemmMode.tn]) {
    const g = new Graph()
    const [a, b, c] = [g.host('a', M, K), g.host('b', N, K), g.host('c', M, N)]
    const call = {
      kernel: gemm,
      tensors: { a, b, c },
      words: { M: int(M), N: int(N), K: int(K), mode: int(mode), acc: int(0) },
    }
    const loaded = executor.load(planGraph(g, { phases: { run: Array.from({ length: 10 }, () => call) } }))
    for (const tensor of [a, b]) loaded.write(tensor, new Float32Array(tensor.rows.count * K).fill(0.5))
    let best = Number.POSITIVE_INFINITY
    for (let repetition = 0; repetition < 20; repetition++) {
      const start = performance.now()
      loaded.run('run')
      best = Math.min(best, performance.now() - start)
    }
    loaded.free()
    console.log(`${M}x${N}x${K} mode ${mode}: ${((2 * M * N * K * 10) / best / 1e6).toFixed(1)} GFLOP/s`)
  }
await executor.close()
