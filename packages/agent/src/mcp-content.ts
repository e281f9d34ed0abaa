/** What an MCP tool returned, as an observation: its texts joined, its first image decoded, whatever else it holds named in words. */
import { decodeImage } from './decode-image.ts'
import type { RawImage, ToolResult } from './tool.ts'

type Block = Readonly<Record<string, unknown>>

const isBlock = (value: unknown): value is Block => typeof value === 'object' && value !== null

function resourceText(resource: unknown): string {
  if (!isBlock(resource)) return '[resource]'
  return typeof resource.text === 'string' ? resource.text : `[resource ${String(resource.uri)}, not text]`
}

/** Text of a block that is no image. */
function blockText(block: Block): string {
  if (block.type === 'text') return String(block.text)
  if (block.type === 'resource') return resourceText(block.resource)
  if (block.type === 'resource_link') return `[link to ${String(block.uri)}]`
  return `[${String(block.type)}, not shown]`
}

function cut(text: string, characters: number): string {
  const left = text.length - characters
  return left > 0 ? `${text.slice(0, characters)}… (${left} more characters)` : text
}

/** Never throws for what a server sent: an image that does not decode fails the call, and says which formats would. */
export function toolResult(reply: unknown, characters: number): ToolResult {
  const { content, structuredContent, isError } = isBlock(reply) ? reply : {}
  const blocks = Array.isArray(content) ? content.filter(isBlock) : []
  const pictures = blocks.filter((b) => b.type === 'image')
  const lines = blocks.filter((b) => b.type !== 'image').map(blockText)
  if (lines.length === 0 && structuredContent !== undefined) lines.push(JSON.stringify(structuredContent))
  if (isError) return { status: 'failed', text: cut(lines.join('\n') || 'it gave no reason', characters) }
  if (pictures.length > 1) lines.push(`(the first of ${pictures.length} images)`)
  let image: RawImage | null = null
  if (pictures[0]) {
    try {
      image = decodeImage(Buffer.from(String(pictures[0].data), 'base64'))
    } catch (error) {
      return { status: 'failed', text: error instanceof Error ? error.message : String(error) }
    }
  }
  return { status: 'ok', text: cut(lines.join('\n'), characters), image }
}
