/**
 * What the environment adds to a context, as text and as tokens: the turn that carries a tool's answer, and image placeholders expanded to an image's pads.
 * Rollouts and whoever prepares demonstrations for training use the same, so that both see the same tokens.
 */
import type { ChatCodec } from './ports.ts'
import type { RawImage } from './tool.ts'

/** Where an image's pads lie among the ids, in tokens. */
export interface PadRun {
  readonly start: number
  readonly count: number
}

export interface EnvironmentTokens {
  readonly ids: readonly number[]
  /** One of each image, in order. */
  readonly pads: readonly PadRun[]
}

/** Token ids of a text in which each `<|image_pad|>` stands for the next image and becomes as many pads as the image takes. Throws when the counts differ. */
export function encodeEnvironment(
  codec: Pick<ChatCodec, 'encode' | 'tokenId' | 'imageTokenCount'>,
  text: string,
  images: readonly RawImage[],
): EnvironmentTokens {
  const pad = codec.tokenId('<|image_pad|>')
  const ids: number[] = []
  const pads: PadRun[] = []
  let placeholders = 0
  for (const id of codec.encode(text)) {
    const image = id === pad ? images[placeholders++] : undefined
    const count = image ? codec.imageTokenCount(image) : 1
    if (image) pads.push({ start: ids.length, count })
    for (let i = 0; i < count; i++) ids.push(id)
  }
  if (placeholders !== images.length)
    throw new Error(
      `encodeEnvironment: each image needs one <|image_pad|> in the text, got ${placeholders} for ${images.length} images. Check the chat template.`,
    )
  return { ids, pads }
}

/** What a tool wrote stays text: none of it may become a token of the template, an image pad without an image least of all. */
const withoutTags = (text: string): string =>
  text.replace(/<(?=\|[^<>|]*\|>|\/?(?:think|tool_call|tool_response)>)/g, '< ')

/** From the end of the model's call to where it thinks again; an image is one placeholder before the text. */
export function observationTurn(answer: { readonly text: string; readonly image: RawImage | null }): string {
  const image = answer.image ? '<|vision_start|><|image_pad|><|vision_end|>' : ''
  return `<|im_end|>\n<|im_start|>user\n<tool_response>\n${image}${withoutTags(answer.text)}\n</tool_response><|im_end|>\n<|im_start|>assistant\n<think>\n`
}
