/** The back-ends that the model's suites run on, and which of them this machine lacks, with the reason. Never silently fewer. */
import { type CpuBuild, createCpuExecutor, createWebGpuExecutor, describeAdapter, type Executor } from '@axpo/kernels'

export interface Backend {
  readonly name: string
  /** 0: WebGPU. */
  readonly threads: number
  open(): Promise<Executor>
  /** Why it cannot be had here; null: it can. */
  readonly missing: string | null
}

function cpuBackend(build: CpuBuild, threads: number): Backend {
  const missing =
    build === 'wide' && process.arch !== 'x64' ? `build wide is for x64, this machine is ${process.arch}` : null
  const name = `the CPU, build ${build}, ${threads} thread${threads === 1 ? '' : 's'}`
  return { name, threads, missing, open: () => createCpuExecutor({ build, threads }) }
}

export const cpuBackends: readonly Backend[] = [
  cpuBackend('fma', 1),
  cpuBackend('fma', 2),
  cpuBackend('plain', 1),
  cpuBackend('plain', 2),
]
/** In a file of their own: what wide switches on stays on for the whole process. */
export const wideBackends: readonly Backend[] = [cpuBackend('wide', 1), cpuBackend('wide', 2)]

/** Missing only where AXPO_ADAPTER=none says so; throws where an adapter should be there and is not. */
export async function webGpuBackend(suite: string): Promise<Backend> {
  const none = process.env.AXPO_ADAPTER === 'none'
  const missing = none ? 'AXPO_ADAPTER=none says that this machine has no WebGPU adapter' : null
  if (missing) console.warn(`${suite}: SKIPPED, ${missing}.`)
  else if (!(await describeAdapter()))
    throw new Error(
      `${suite}: a WebGPU adapter is needed, got none. Run \`npm test\`, which brings a software driver, or set AXPO_ADAPTER=none to skip.`,
    )
  return { name: 'WebGPU', threads: 0, missing, open: () => createWebGpuExecutor() }
}
