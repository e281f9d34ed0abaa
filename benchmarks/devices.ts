/** Executors to measure on, and the sizes each can bear: CPU with one and two threads, and the machine's WebGPU adapter. */
import { availableParallelism } from 'node:os'
import {
  type CpuBuild,
  createCpuExecutor,
  createWebGpuExecutor,
  describeAdapter,
  type Executor,
} from '../packages/kernels/src/index.ts'

/** 'software': a WebGPU driver that runs on the CPU, which is given smaller sizes. */
export type DeviceKind = 'cpu' | 'gpu' | 'software'

export interface Device {
  /** Short, for column heads. */
  readonly name: string
  readonly kind: DeviceKind
  readonly threads: number
  open(): Promise<Executor>
}

/** `build` of the kernels: plain, fma, wide; default what the executor chooses. */
export function cpuDevice(threads: number, build?: CpuBuild): Device {
  return {
    name: `CPU${build ? ` ${build}` : ''} ${threads} thread${threads === 1 ? '' : 's'}`,
    kind: 'cpu',
    threads,
    open: () => createCpuExecutor({ threads, ...(build ? { build } : {}) }),
  }
}

export interface DeviceList {
  readonly devices: readonly Device[]
  /** One line each, also on what is missing. */
  readonly notes: readonly string[]
}

export async function listDevices(which: 'all' | 'cpu' | 'webgpu', build?: CpuBuild): Promise<DeviceList> {
  const devices: Device[] = []
  const notes: string[] = []
  if (which !== 'webgpu')
    devices.push(cpuDevice(1, build), ...(availableParallelism() > 1 ? [cpuDevice(2, build)] : []))
  if (which === 'cpu') return { devices, notes }
  const adapter = await describeAdapter()
  if (!adapter) {
    notes.push('No WebGPU adapter here: not measured.')
    return { devices, notes }
  }
  const kind: DeviceKind = adapter.kind
  devices.push({
    name: kind === 'gpu' ? 'WebGPU' : 'WebGPU software',
    kind,
    threads: 0,
    open: () => createWebGpuExecutor(),
  })
  notes.push(
    kind === 'gpu'
      ? `WebGPU: ${adapter.name}.`
      : `WebGPU: ${adapter.name}, a driver that runs on the CPU, measured with smaller sizes (each row says which): its figures are not to be held against the CPU's.`,
  )
  return { devices, notes }
}
