/**
 * Peak of fused multiply-add on a WebGPU adapter, by a shader that touches no memory while it counts (peak.wgsl): the yardstick of matrix products there. Unit:
 * GFLOP/s, an FMA counts as 2 operations a lane.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WebGpuExecutor } from '../packages/kernels/src/index.ts'
import { now } from './timing.ts'

/** As in peak.wgsl. */
const OPERATIONS_PER_ROUND = 64
const WORKGROUP = 64
const LEAST_MS = 30

export class WebGpuPeak {
  private readonly executor: WebGpuExecutor
  private readonly pipeline: GPUComputePipeline
  private readonly group: GPUBindGroup
  private readonly buffers: readonly GPUBuffer[]
  private readonly rounds: GPUBuffer
  private readonly workgroups: number
  /** What the last measurement ran, and how long it took. */
  private count = 1000
  private lastMs = 0

  private constructor(executor: WebGpuExecutor, code: string) {
    const { device, info } = executor
    this.executor = executor
    // a software driver has a few lanes, a GPU some ten thousands
    this.workgroups = info.kind === 'software' ? 64 : 4096
    const module = device.createShaderModule({ code })
    this.pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'peak' } })
    const { STORAGE, UNIFORM, COPY_DST } = GPUBufferUsage
    this.rounds = device.createBuffer({ size: 16, usage: UNIFORM | COPY_DST })
    const out = device.createBuffer({ size: this.workgroups * WORKGROUP * 4, usage: STORAGE })
    this.buffers = [this.rounds, out]
    this.group = device.createBindGroup({
      layout: this.pipeline.getBindGroupLayout(0),
      entries: this.buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
  }

  static async open(executor: WebGpuExecutor): Promise<WebGpuPeak> {
    const peak = new WebGpuPeak(executor, await readFile(new URL('./peak.wgsl', import.meta.url), 'utf8'))
    // until a measurement takes long enough for its start and end not to matter
    for (let ms = await peak.time(); ms < LEAST_MS; ms = await peak.time()) peak.count *= ms < LEAST_MS / 8 ? 8 : 2
    return peak
  }

  /** GFLOP/s of the whole adapter. */
  async measure(): Promise<number> {
    return (this.workgroups * WORKGROUP * OPERATIONS_PER_ROUND * this.count) / (await this.time()) / 1e6
  }

  close(): void {
    for (const buffer of this.buffers) buffer.destroy()
  }

  private async time(): Promise<number> {
    const { device, info } = this.executor
    device.queue.writeBuffer(this.rounds, 0, new Uint32Array([this.count, 0, 0, 0]))
    await device.queue.onSubmittedWorkDone()
    const start = now()
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.pipeline)
    pass.setBindGroup(0, this.group)
    pass.dispatchWorkgroups(this.workgroups)
    pass.end()
    device.queue.submit([encoder.finish()])
    // an open wait polls without pause, which takes a core from a driver that runs on the CPU
    if (info.kind === 'software') await sleep(this.lastMs * 0.6)
    await device.queue.onSubmittedWorkDone()
    const ms = now() - start
    this.lastMs = this.lastMs === 0 ? ms / 4 : Math.min(ms, 2 * this.lastMs)
    return ms
  }
}
