/** Compiles the WGSL of all kernels for a device, once for its life. Not here: buffers and runs (executor.ts). */
import { loadWgsl } from '#platform'
import type { KernelSpec } from '../ops/definition.ts'
import { kernels } from '../ops/index.ts'
import type { AdapterKind } from './adapter.ts'

/** One uniform slot a call: 256 bytes, the largest alignment a device may ask for. */
export const SLOT_BYTES = 256
const MOST_TENSORS = 8

export interface Pipelines {
  /** Words at binding 0, then that many tensors. */
  layout(tensorCount: number): GPUBindGroupLayout
  pipeline(kernel: KernelSpec): GPUComputePipeline
}

const compiled = new WeakMap<GPUDevice, Map<AdapterKind, Promise<Pipelines>>>()

/** All kernels at once: a kernel that does not compile shows here and not in the middle of a training step. */
export function compilePipelines(device: GPUDevice, kind: AdapterKind): Promise<Pipelines> {
  const kinds = compiled.get(device) ?? new Map<AdapterKind, Promise<Pipelines>>()
  compiled.set(device, kinds)
  const pipelines = kinds.get(kind) ?? compileAll(device, kernels, kind)
  kinds.set(kind, pipelines)
  return pipelines
}

/** `kind`: the adapter the WGSL is taken for, where a kernel has two. */
export async function compileAll(
  device: GPUDevice,
  list: readonly KernelSpec[],
  kind: AdapterKind,
): Promise<Pipelines> {
  const layouts = Array.from({ length: MOST_TENSORS + 1 }, (_, count) => bindGroupLayout(device, count))
  const made = new Map(
    await Promise.all(
      list.map(async (kernel) => [kernel, await compileKernel(device, kernel, layouts, kind)] as const),
    ),
  )
  return {
    layout: (tensorCount) => layouts[tensorCount]!,
    pipeline(kernel) {
      const pipeline = made.get(kernel)
      if (!pipeline)
        throw new Error(
          `webgpu: ${kernel.name} is not in the list of kernels. Export it from the file of its op and run npm run build.`,
        )
      return pipeline
    },
  }
}

/** All tensors are read_write, so that one buffer may hold a call's inputs and outputs. */
function bindGroupLayout(device: GPUDevice, tensorCount: number): GPUBindGroupLayout {
  const entry = (binding: number, type: GPUBufferBindingType) => ({ binding, visibility: 4, buffer: { type } })
  const tensors = Array.from({ length: tensorCount }, (_, i) => entry(i + 1, 'storage'))
  return device.createBindGroupLayout({ entries: [entry(0, 'uniform'), ...tensors] })
}

/** Throws an Error that names the kernel and its file. */
export async function compileKernel(
  device: GPUDevice,
  kernel: KernelSpec,
  layouts: readonly GPUBindGroupLayout[],
  kind: AdapterKind,
): Promise<GPUComputePipeline> {
  const file = (kind === 'software' && kernel.softwareWgsl) || kernel.wgsl
  const path = file.pathname
  const code = await loadWgsl(file).catch((cause: unknown) => {
    throw new Error(`webgpu: kernel ${kernel.name} needs its WGSL, got no file ${path}. Install the package anew.`, {
      cause,
    })
  })
  device.pushErrorScope('validation')
  const module = device.createShaderModule({ label: kernel.name, code })
  const error = await device.popErrorScope()
  if (error) throw broken(kernel, path, error.message)
  try {
    return await device.createComputePipelineAsync({
      label: kernel.name,
      layout: device.createPipelineLayout({
        bindGroupLayouts: layouts.slice(kernel.bindings.length, kernel.bindings.length + 1),
      }),
      compute: { module, entryPoint: `main_${kernel.name}` },
    })
  } catch (cause) {
    throw broken(kernel, path, cause instanceof Error ? cause.message : String(cause))
  }
}

function broken(kernel: KernelSpec, path: string, message: string): Error {
  return new Error(
    `webgpu: kernel ${kernel.name} must compile, got ${message}. Correct ${path}, or use --device cpu meanwhile.`,
  )
}
