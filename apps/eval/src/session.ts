/** Opens what a run needs: a device, a model on it, the codec and the tools. Used by training too. Not here: rollouts, questions. */
import { availableParallelism } from 'node:os'
import {
  type ChatCodec as AgentCodec,
  createSearchTool,
  createToolRegistry,
  createZoomTool,
  type Sampler,
  type Tool,
  type ToolRegistry,
} from '@axpo/agent'
import { chooseDevice, createCpuExecutor, type DeviceRequest, describeAdapter, type Executor } from '@axpo/kernels'
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
  readonly capacities?: { readonly [K in keyof Capacities]?: Partial<Capacities[K]> }
  readonly optimiser?: Partial<OptimiserSettings>
  /** Where config.json stands; default: the nano model's own. */
  readonly configDirectory?: string
}

export interface Session {
  readonly executor: Executor
  readonly model: Model
  readonly codec: ChatCodec
  /** One line for people: the device and why. */
  readonly device: string
  close(): Promise<void>
}

/** The device asked for. `auto` looks at the adapter, `cpu` never does. */
export async function openExecutor(
  request: DeviceRequest,
  threads: number,
): Promise<{ executor: Executor; line: string }> {
  const adapter = request === 'cpu' ? null : await describeAdapter()
  const choice = chooseDevice(request, adapter)
  if (choice.device === 'webgpu') throw new Error('session: the WebGPU executor is not wired yet. Use --device cpu.')
  const executor = await createCpuExecutor({ threads: threads || availableParallelism() })
  return { executor, line: `${executor.describe()} (--device ${request}: ${choice.reason})` }
}

export async function openSession(options: SessionOptions): Promise<Session> {
  const { executor, line } = await openExecutor(options.device, options.threads)
  const config = await loadConfig(options.configDirectory ?? nanoDirectory)
  const codec = await loadChatCodec(nanoTokenizerDirectory, nanoDirectory)
  checkCodec(codec, config)
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
    device: line,
    async close() {
      model.close()
      await executor.close()
    },
  }
}

/** The suite's tools; `python` is given because its interpreter is started and stopped by the caller. */
export function suiteRegistry(python: Tool): ToolRegistry {
  return createToolRegistry([createZoomTool(), python, createSearchTool()])
}

/** The model's sampler and codec are what the agent asks for. */
export function agentPorts(session: Session): { readonly sampler: Sampler; readonly codec: AgentCodec } {
  return { sampler: session.model.sampler satisfies Sampler, codec: session.codec satisfies AgentCodec }
}
