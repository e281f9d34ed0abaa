/** What a tool is, and what it may answer. Failures of operation are values: the model sees them as observations, the episode goes on. */

/** 8-bit RGB, row-major, 3 bytes a pixel, at original resolution. */
export interface RawImage {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** OpenAI-style function tool; `parameters` is a JSON Schema. */
export interface ToolSpec {
  readonly type: 'function'
  readonly function: {
    readonly name: string
    readonly description: string
    readonly parameters: Record<string, unknown>
  }
}

export interface SearchDocument {
  readonly id: string
  readonly title: string
  readonly text: string
}

/** A picture that image_search can find, and the title it is known by. */
export interface GalleryEntry {
  readonly title: string
  readonly image: RawImage
}

/** What a call may look at: the episode's images so far (originals), its documents and, where image_search is offered, its corpus of pictures. */
export interface ToolContext {
  readonly images: readonly RawImage[]
  readonly documents: readonly SearchDocument[]
  readonly gallery?: readonly GalleryEntry[]
}

export type ToolResult =
  | { readonly status: 'ok'; readonly text: string; readonly image: RawImage | null }
  | { readonly status: 'timeout' | 'failed' | 'bad-arguments'; readonly text: string }

export interface Tool {
  readonly spec: ToolSpec
  /** A time limit that the tool keeps itself, because calls may wait in its queue: the registry then sets none. */
  readonly timeoutMs?: number
  run(args: Readonly<Record<string, unknown>>, context: ToolContext, signal: AbortSignal): Promise<ToolResult>
}
