import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ChatCodec, checkCodec, loadChatCodec } from './codec.ts'
import { loadConfig } from './config.ts'
import { nanoDirectory } from './nano.ts'

/** GPT-2's printable spelling of the 256 bytes. */
function byteAlphabet(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
  let extra = 0
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : 256 + extra++))
}

const special = [
  '<|im_start|>',
  '<|im_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|image_pad|>',
  '<|video_pad|>',
  '<think>',
]
const template = `{%- for m in messages -%}
{{- '<|im_start|>' + m.role + '\\n' -}}
{%- if m.content is string -%}{{- m.content -}}{%- else -%}{%- for c in m.content -%}
{%- if c.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}{%- else -%}{{- c.text -}}{%- endif -%}
{%- endfor -%}{%- endif -%}{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n<think>\\n' -}}{%- endif -%}`

let folder: string
let codec: ChatCodec
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'axpo-codec-'))
  const vocab: Record<string, number> = {}
  for (const [id, character] of byteAlphabet().entries()) vocab[character] = id
  vocab.he = 256
  const tokenizer = {
    version: '1.0',
    added_tokens: special.map((content, i) => ({
      id: 300 + i,
      content,
      special: true,
      normalized: false,
      single_word: false,
      lstrip: false,
      rstrip: false,
    })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: { type: 'BPE', vocab, merges: [['h', 'e']], dropout: null, unk_token: null },
  }
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'Qwen2Tokenizer', chat_template: template }),
  )
  codec = await loadChatCodec(folder, nanoDirectory)
})
afterAll(() => rm(folder, { recursive: true }))

describe('codec', () => {
  it('encodes and decodes, special tokens included', () => {
    const text = '<|im_start|>user\nhe é 😀 0.0<|im_end|>\n'
    const ids = codec.encode(text)
    expect([ids[0], ids.includes(256), ids.at(-2)]).toEqual([300, true, 301])
    expect(codec.decode(ids)).toBe(text)
    expect(codec.decode(Int32Array.from(ids))).toBe(text)
    expect([codec.encode(''), codec.decode([])]).toEqual([[], ''])
  })

  it('knows single tokens only', () => {
    expect(codec.tokenId('<think>')).toBe(306)
    expect(() => codec.tokenId('<nothing>')).toThrow(/"<nothing>" must be one token/)
  })

  it('renders a prompt that ends inside the thought', () => {
    const content = [{ type: 'image' as const }, { type: 'text' as const, text: 'How many?' }]
    expect(codec.renderPrompt([{ role: 'user', content }], [])).toBe(
      '<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many?<|im_end|>\n<|im_start|>assistant\n<think>\n',
    )
  })

  it('counts the tokens of an image', () => {
    expect(codec.imageTokenCount({ width: 128, height: 128, data: new Uint8Array(0) })).toBe(16)
  })

  it('refuses a tokenizer of another model, a folder without one', async () => {
    const config = await loadConfig(nanoDirectory)
    expect(() => checkCodec(codec, config)).toThrow(/<\|image_pad\|> must have id 498 as config.json says, got 304/)
    await expect(loadChatCodec(nanoDirectory)).rejects.toThrow(/tokenizer_config.json cannot be read \(ENOENT\)/)
  })
})
