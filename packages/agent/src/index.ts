export { canonicalJson, type HermesTokens, type ParsedCall, type ParsedTurn, parseCall, parseTurn } from './hermes.ts'
export { createSearchTool, rankDocuments, renderResults } from './search.ts'
export type { RawImage, SearchDocument, Tool, ToolContext, ToolResult, ToolSpec } from './tool.ts'
export { createZoomTool, cropImage, defaultZoomOptions, type PixelBox, pixelBox, type ZoomOptions } from './zoom.ts'
