/** Qwen3-VL on @axpo/kernels: config, weights, codec, image processor, sampler, learner. */
export { loadParameters, saveParameters } from './checkpoint.ts'
export {
  type ChatCodec,
  type ChatContent,
  type ChatMessage,
  checkCodec,
  loadChatCodec,
  type ToolSpec,
} from './codec.ts'
export { checkConfig, loadConfig, type ModelConfig, type TextConfig, type VisionConfig } from './config.ts'
export { createInitialParameters } from './init.ts'
export { defaultOptimiser, Learner, type OptimiserSettings, type StepResult, type TrainBatch } from './learner.ts'
export { type Capacities, createModel, defaultCapacities, type Model, type ModelOptions } from './model.ts'
export { nanoDirectory } from './nano.ts'
export { type ImageRef, type PackCapacities, planMicroBatches, type TrainSequence } from './pack.ts'
export type { Scores } from './packed-graph.ts'
export { type Parameter, type ParameterList, planParameters } from './parameters.ts'
export {
  checkProcessorConfig,
  loadProcessorConfig,
  type ProcessorConfig,
  processImage,
  type RawImage,
  resizeImage,
  smartResize,
} from './processor.ts'
export { loadTensor, loadTensorIndex, type NamedTensor, saveTensors } from './safetensors.ts'
export { NanoSampler, type SampleRequest, type SampleResult } from './sampler.ts'
export type { SamplerCapacities } from './sampler-graph.ts'
