export { decodeImage } from './decode-image.ts'
export { defineTool, type JsonSchema, type ToolDefinition, type ToolReply, type TypedSchema } from './define-tool.ts'
export { type EnvironmentTokens, encodeEnvironment, observationTurn, type PadRun } from './environment-text.ts'
export { canonicalJson, type HermesTokens, type ParsedCall, type ParsedTurn, parseCall, parseTurn } from './hermes.ts'
export {
  createImageSearchTool,
  defaultImageSearchOptions,
  type ImageSearchOptions,
  imageSimilarity,
  rankImages,
} from './image-search.ts'
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
export { createPythonTool, defaultPythonOptions, type PythonOptions, type PythonTool, renderPython } from './python.ts'
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
export type { GalleryEntry, RawImage, SearchDocument, Tool, ToolContext, ToolResult, ToolSpec } from './tool.ts'
export { createZoomTool, cropImage, defaultZoomOptions, type PixelBox, pixelBox, type ZoomOptions } from './zoom.ts'
