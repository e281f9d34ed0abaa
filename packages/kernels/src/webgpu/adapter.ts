// Opening a WebGPU adapter and device: Dawn (npm package `webgpu`) under Node, `navigator.gpu` in a browser.
// Not here: pipelines, buffers, plans (the executor), or installing drivers (scripts/setup).
// Units: limits are WebGPU's own (bytes, counts). A device is asked for all that its adapter can do.

import { loadDawn } from '#platform'

/** 'software' = a driver that runs on the CPU (lavapipe, SwiftShader, WARP): right results, no speed. */
export type AdapterKind = 'gpu' | 'software'

export interface AdapterDescription {
  readonly kind: AdapterKind
  /** One line for people: driver's name, vendor and architecture. */
  readonly name: string
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  readonly subgroupMinSize: number | null
  readonly subgroupMaxSize: number | null
  /** Sorted. */
  readonly features: readonly string[]
  readonly limits: Readonly<Record<string, number>>
}

export interface OpenWebGpuOptions {
  /** 'refuse' takes a real GPU or nothing. Default 'allow'. */
  readonly software?: 'allow' | 'refuse'
  /** Features asked for where the adapter has them, besides timestamp-query, shader-f16, subgroups. */
  readonly features?: readonly string[]
  /** Dawn's `key=value` options for Node, as `enable-dawn-features=allow_unsafe_apis`. A browser ignores them. */
  readonly dawn?: readonly string[]
  /** Called once when the device is lost other than by close(). Default: throws, so that no step runs on. */
  readonly onLost?: (reason: string, message: string) => void
  /** Called for each error no error scope caught. Default: throws. */
  readonly onError?: (message: string) => void
}

export interface WebGpu {
  readonly device: GPUDevice
  readonly adapter: GPUAdapter
  readonly info: AdapterDescription
  /** Destroys the device. Under Node the process still has to end by process.exit: Dawn's threads keep it alive. */
  close(): void
}

/** No adapter fits: a failure of the machine, not of the program. */
export class NoAdapterError extends Error {
  override readonly name = 'NoAdapterError'
}

/** The device went away while in use. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError'
}

const WANTED_FEATURES = ['timestamp-query', 'shader-f16', 'subgroups'] as const
const SOFTWARE_NAME = /llvmpipe|lavapipe|swiftshader|softpipe|basic render|\bwarp\b/i
const REPAIR =
  'Run `npm run axpo -- doctor --device webgpu`, which installs a software driver, or use `--device cpu`, which needs none.'

/** Instances must stay referenced: collected, Dawn crashes. One for each set of options, for the process's life. */
const pinned = globalThis as typeof globalThis & { [key: symbol]: Map<string, GPU> | undefined }
const INSTANCES = Symbol.for('axpo.webgpu.instances')

/** Null: a browser without WebGPU. */
async function loadInstance(dawn: readonly string[]): Promise<GPU | null> {
  if (typeof navigator !== 'undefined' && 'gpu' in navigator && navigator.gpu) return navigator.gpu
  if (!loadDawn) return null
  pinned[INSTANCES] ??= new Map()
  const instances = pinned[INSTANCES]
  const key = dawn.join(' ')
  const known = instances.get(key)
  if (known) return known
  const { create, globals } = await importDawn(loadDawn)
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
  const instance = create([...dawn])
  instances.set(key, instance)
  return instance
}

async function importDawn(load: () => Promise<typeof import('webgpu')>): Promise<typeof import('webgpu')> {
  try {
    return await load()
  } catch (cause) {
    throw new NoAdapterError(
      `openWebGpu: the npm package 'webgpu' must load on this platform, got ${messageOf(cause)}. Use --device cpu, or one of Linux x64/arm64 (glibc), macOS, Windows.`,
      { cause },
    )
  }
}

async function requestAdapter(dawn: readonly string[]): Promise<GPUAdapter | null> {
  const instance = await loadInstance(dawn)
  if (!instance) return null
  return (await instance.requestAdapter({ powerPreference: 'high-performance' })) ?? (await instance.requestAdapter())
}

/** The adapter this process would open, without opening it; null if there is none. */
export async function describeAdapter(dawn: readonly string[] = []): Promise<AdapterDescription | null> {
  const adapter = await requestAdapter(dawn)
  return adapter ? describe(adapter) : null
}

/** A real GPU, or a driver that runs on the CPU? By the driver's own word, else by its name. */
export function classifyAdapter(info: {
  readonly isFallbackAdapter?: boolean
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
}): AdapterKind {
  if (info.isFallbackAdapter === true) return 'software'
  return SOFTWARE_NAME.test([info.vendor, info.architecture, info.device, info.description].join(' '))
    ? 'software'
    : 'gpu'
}

function describe(adapter: GPUAdapter): AdapterDescription {
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = adapter.info
  const driver = description || device || 'unnamed adapter'
  const origin = [vendor, architecture].filter((part) => part !== '').join(' ')
  return {
    kind: classifyAdapter(adapter.info),
    name: origin === '' ? driver : `${driver} (${origin})`,
    vendor,
    architecture,
    device,
    description,
    subgroupMinSize: subgroupMinSize ?? null,
    subgroupMaxSize: subgroupMaxSize ?? null,
    features: [...adapter.features].map(String).sort(),
    limits: limitsOf(adapter),
  }
}

/** All limits as numbers; WebGPU keeps them as getters on a prototype. */
function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {}
  for (const name in adapter.limits) {
    const value: unknown = Reflect.get(adapter.limits, name)
    if (typeof value === 'number') limits[name] = value
  }
  return limits
}

/**
 * Opens the machine's best adapter with the adapter's own limits (WebGPU's defaults are far lower: 128 MiB a binding,
 * 16 KiB of workgroup memory) and the wanted features it has.
 * Throws NoAdapterError where none fits.
 */
export async function openWebGpu(options: OpenWebGpuOptions = {}): Promise<WebGpu> {
  const adapter = await requestAdapter(options.dawn ?? [])
  if (!adapter) {
    throw new NoAdapterError(`openWebGpu: a WebGPU adapter is needed, got none. ${REPAIR}`)
  }
  const info = describe(adapter)
  if (options.software === 'refuse' && info.kind === 'software') {
    throw new NoAdapterError(`openWebGpu: a real GPU is needed, got software adapter ${info.name}. ${REPAIR}`)
  }
  const wanted = new Set<string>([...WANTED_FEATURES, ...(options.features ?? [])])
  const device = await requestDevice(
    adapter,
    info,
    [...wanted].filter((feature) => info.features.includes(feature)),
  )
  let closing = false
  device.lost.then((lost) => {
    if (closing) return
    if (options.onLost) options.onLost(lost.reason, lost.message)
    else throwLater(new DeviceLostError(lostMessage(lost.reason, lost.message)))
  })
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault()
    if (options.onError) options.onError(event.error.message)
    else throwLater(new Error(`webgpu: every command must be valid, got ${event.error.message}`))
  })
  return {
    device,
    adapter,
    info,
    close() {
      if (closing) return
      closing = true
      device.destroy()
    },
  }
}

async function requestDevice(adapter: GPUAdapter, info: AdapterDescription, features: string[]): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits: { ...info.limits },
    })
  } catch (cause) {
    throw new NoAdapterError(
      `openWebGpu: adapter ${info.name} must give a device, got ${messageOf(cause)}. Free the GPU's memory, update its driver, or use --device cpu.`,
      { cause },
    )
  }
}

export function lostMessage(reason: string, message: string): string {
  return `webgpu: the device must stay until the run ends, got lost (${reason}: ${message}). What was written is kept: go on with --resume, or with --device cpu.`
}

/** Out of a promise or an event handler into the process's own uncaught-exception path. */
function throwLater(error: Error): void {
  queueMicrotask(() => {
    throw error
  })
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

export type DeviceRequest = 'auto' | 'webgpu' | 'cpu'

export interface DeviceChoice {
  readonly device: 'webgpu' | 'cpu'
  /** One clause for people, as 'real GPU NVIDIA H100'. */
  readonly reason: string
}

/** auto: a real GPU through WebGPU, else the CPU executor, which beats a software adapter by far. */
export function chooseDevice(request: DeviceRequest, adapter: AdapterDescription | null): DeviceChoice {
  if (request === 'cpu') return { device: 'cpu', reason: 'asked for' }
  if (request === 'webgpu') {
    if (!adapter) throw new NoAdapterError(`chooseDevice: --device webgpu needs an adapter, got none. ${REPAIR}`)
    return { device: 'webgpu', reason: `asked for; ${adapter.kind === 'gpu' ? 'GPU' : 'software'} ${adapter.name}` }
  }
  if (adapter === null) return { device: 'cpu', reason: 'no WebGPU adapter here' }
  if (adapter.kind === 'software') {
    return {
      device: 'cpu',
      reason: `the only WebGPU adapter is software (${adapter.name}), slower than the CPU executor`,
    }
  }
  return { device: 'webgpu', reason: `real GPU ${adapter.name}` }
}
