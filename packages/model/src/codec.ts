/**
 * Text <-> tokens of a checkpoint folder: tokenizer.json, the chat template, and how many tokens an image takes. Fits the agent's ChatCodec port.
 * Not here: building or parsing turns; model turns are never rendered again.
 */

import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import { join, readFile } from '#files'
import { loadJson, type ModelConfig } from './config.ts'
import { imageGrid, loadProcessorConfig, type ProcessorConfig, type RawImage } from './processor.ts'

export type ChatContent =
  | string
  | readonly ({ readonly type: 'text'; readonly text: string } | { readonly type: 'image' })[]
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: ChatContent
}
export interface ToolSpec {
  readonly type: 'function'
  readonly function: {
    readonly name: string
    readonly description: string
    readonly parameters: Record<string, unknown>
  }
}

export interface ChatCodec {
  readonly processor: ProcessorConfig
  encode(text: string): number[]
  /** Special tokens are kept. */
  decode(tokens: ArrayLike<number>): string
  /** Throws when `token` is not a single token. */
  tokenId(token: string): number
  /** The chat template with the generation prompt. */
  renderPrompt(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): string
  /** Merged tokens of the image after the processor's resize. */
  imageTokenCount(image: RawImage): number
}

async function loadTemplate(directory: string, tokenizerConfig: Readonly<Record<string, unknown>>): Promise<Template> {
  const inline = tokenizerConfig.chat_template
  if (typeof inline === 'string') return new Template(inline)
  const path = join(directory, 'chat_template.jinja')
  const text = await readFile(path, 'utf8').catch(() => {
    throw new Error(
      `codec: ${directory} must have chat_template in tokenizer_config.json or a chat_template.jinja, got neither. Copy the tokenizer's files.`,
    )
  })
  return new Template(text)
}

/** Reads tokenizer.json, tokenizer_config.json and the chat template from `directory`; preprocessor_config.json from `processorDirectory`. */
export async function loadChatCodec(directory: string, processorDirectory: string = directory): Promise<ChatCodec> {
  const tokenizerConfig = await loadJson(join(directory, 'tokenizer_config.json'))
  const tokenizer = new Tokenizer(await loadJson(join(directory, 'tokenizer.json')), tokenizerConfig)
  const template = await loadTemplate(directory, tokenizerConfig)
  const processor = await loadProcessorConfig(processorDirectory)
  return {
    processor,
    encode: (text) => (text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids),
    decode: (tokens) =>
      tokens.length === 0
        ? ''
        : tokenizer.decode(Array.from(tokens), { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
    tokenId(token) {
      const id = tokenizer.token_to_id(token)
      if (id === undefined)
        throw new Error(
          `codec: ${JSON.stringify(token)} must be one token of ${directory}/tokenizer.json, got none. Use the tokenizer of this model.`,
        )
      return id
    },
    renderPrompt: (messages, tools) =>
      template.render({ messages, add_generation_prompt: true, ...(tools.length > 0 ? { tools } : {}) }),
    imageTokenCount(image) {
      const { gh, gw } = imageGrid(image, processor)
      return (gh * gw) / 4
    },
  }
}

/** Throws unless the tokenizer's special tokens have the ids that config.json names. */
export function checkCodec(codec: ChatCodec, config: ModelConfig): void {
  const expected: readonly [string, number][] = [
    ['<|image_pad|>', config.imageTokenId],
    ['<|video_pad|>', config.videoTokenId],
    ['<|vision_start|>', config.visionStartTokenId],
    ['<|vision_end|>', config.visionEndTokenId],
  ]
  for (const [token, id] of expected) {
    const got = codec.tokenId(token)
    if (got !== id)
      throw new Error(
        `codec: ${token} must have id ${id} as config.json says, got ${got}. Use the tokenizer that belongs to the model.`,
      )
  }
}
