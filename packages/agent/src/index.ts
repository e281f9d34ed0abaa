export { canonicalJson, type HermesTokens, type ParsedCall, type ParsedTurn, parseCall, parseTurn } from './hermes.ts'
export type {
  ChatCodec,
  ChatContent,
  ChatMessage,
  ImageRef,
  SampleKey,
  SampleRequest,
  SampleResult,
  Sampler,
} from './ports.ts'
export { type CallOutcome, createToolRegistry, type ToolRegistry } from './registry.ts'
export {
  defaultLimits,
  hermesTokens,
  imageRef,
  type Limits,
  type RolloutJob,
  type RolloutSetting,
  rollout,
  rolloutMany,
  type Task,
} from './rollout.ts'
export { createSearchTool, rankDocuments, renderResults } from './search.ts'
export type { RawImage, SearchDocument, Tool, ToolContext, ToolResult, ToolSpec } from './tool.ts'
export { createZoomTool, cropImage, defaultZoomOptions, type PixelBox, pixelBox, type ZoomOptions } from './zoom.ts'
