/** Opens what a run needs: a device, a model on it, the codec and the tools. Used by training too. Not here: rollouts, questions. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type ChatCodec as AgentCodec,
  createImageSearchTool,
  createPythonTool,
  createSearchTool,
  createToolRegistry,
  createZoomTool,
  type PythonTool,
  type Sampler,
  type Tool,
  type ToolRegistry,
} from '@axpo/agent'
import {
  type CpuBuild,
  chooseDevice,
  createCpuExecutor,
  createWebGpuExecutor,
  type DeviceRequest,
  describeAdapter,
  type Executor,
} from '@axpo/kernels'
import {
  type Capacities,
  type ChatCodec,
  checkCodec,
  createModel,
  loadChatCodec,
  loadConfig,
  type Model,
  nanoDirectory,
  type OptimiserSettings,
} from '@axpo/model'
import { nanoTokenizerDirectory } from '@axpo/tasks'

export interface SessionOptions {
  readonly device: DeviceRequest
  /** CPU threads; 0: as many as the machine has. */
  readonly threads: number
  /** Of the CPU kernels; default: fma where the engine has it. */
  readonly build?: CpuBuild
  readonly capacities?: { readonly [K in keyof Capacities]?: Partial<Capacities[K]> }
  readonly optimiser?: Partial<OptimiserSettings>
  /** Checkpoint folder whose config.json (and tokenizer.json, where it has one) describe the model; default: the nano model. Weights are not read here. */
  readonly checkpoint?: string
}

export interface Session {
  readonly executor: Executor
  readonly model: Model
  readonly codec: ChatCodec
  /** One line for people: the device and why. */
  readonly device: string
  /** Software adapter: right, but far slower than the CPU executor. */
  readonly software: boolean
  close(): Promise<void>
}

/** The device asked for. `auto` looks at the adapter, `cpu` never does. */
export async function openExecutor(
  request: DeviceRequest,
  threads: number,
  build?: CpuBuild,
): Promise<Pick<Session, 'executor' | 'device' | 'software'>> {
  const adapter = request === 'cpu' ? null : await describeAdapter()
  const choice = chooseDevice(request, adapter)
  const webgpu = choice.device === 'webgpu'
  const executor = webgpu
    ? await createWebGpuExecutor()
    : await createCpuExecutor({ threads: threads || availableParallelism(), ...(build ? { build } : {}) })
  const device = `${executor.describe()} (--device ${request}: ${choice.reason})`
  return { executor, device, software: webgpu && adapter?.kind === 'software' }
}

/** Folders that describe the model of a checkpoint: the nano model's own where the checkpoint brings none. */
function describingFolders(checkpoint: string | undefined): { config: string; tokenizer: string; processor: string } {
  const has = (name: string) => checkpoint !== undefined && existsSync(join(checkpoint, name))
  if (checkpoint !== undefined && !has('config.json'))
    throw new Error(
      `checkpoint: ${checkpoint} must be a folder with config.json and model.safetensors, got no config.json there. Check the path, or make one with axpo sft.`,
    )
  return {
    config: checkpoint ?? nanoDirectory,
    tokenizer: checkpoint !== undefined && has('tokenizer.json') ? checkpoint : nanoTokenizerDirectory,
    processor: checkpoint !== undefined && has('preprocessor_config.json') ? checkpoint : nanoDirectory,
  }
}

/** The text side alone, with no device. */
export async function loadCheckpointCodec(checkpoint: string): Promise<ChatCodec> {
  const { tokenizer, processor } = describingFolders(checkpoint)
  return loadChatCodec(tokenizer, processor)
}

export async function openSession(options: SessionOptions): Promise<Session> {
  const folders = describingFolders(options.checkpoint)
  const config = await loadConfig(folders.config)
  const codec = await loadChatCodec(folders.tokenizer, folders.processor)
  checkCodec(codec, config)
  const { executor, device, software } = await openExecutor(options.device, options.threads, options.build)
  const model = createModel({
    config,
    processor: codec.processor,
    executor,
    ...(options.capacities ? { capacities: options.capacities } : {}),
    ...(options.optimiser ? { optimiser: options.optimiser } : {}),
  })
  return {
    executor,
    model,
    codec,
    device,
    software,
    async close() {
      model.close()
      await executor.close()
    },
  }
}

/** The `python` tool of the apps: a started Python is kept beside what the set-up keeps, so that the next process starts sooner. */
export function openPython(): PythonTool {
  return createPythonTool({ snapshotFolder: fileURLToPath(new URL('../../../.axpo/cache', import.meta.url)) })
}

/** The suite's tools, the held-out family's included: a question offers its own ones only. `python` is given because its interpreter is started and stopped by the caller. `more`: a user's own. */
export function suiteRegistry(python: Tool, more: readonly Tool[] = []): ToolRegistry {
  return createToolRegistry([createZoomTool(), python, createSearchTool(), createImageSearchTool(), ...more])
}

/** The model's sampler and codec are what the agent asks for. */
export function agentPorts(session: Session): { readonly sampler: Sampler; readonly codec: AgentCodec } {
  return { sampler: session.model.sampler satisfies Sampler, codec: session.codec satisfies AgentCodec }
}
