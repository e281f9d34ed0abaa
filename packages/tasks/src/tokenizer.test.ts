import { readFileSync } from 'node:fs'
import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom, demonstrate, families, loadQuestion, suiteTools, thoughtWords } from './index.ts'

const read = (name: string) => JSON.parse(readFileSync(new URL(`../nano/${name}`, import.meta.url), 'utf8'))
const config = read('tokenizer_config.json')
const tokenizer = new Tokenizer(read('tokenizer.json'), config)
const encode = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids
const decode = (ids: number[]): string =>
  tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false })

test("512 tokens, Qwen's 26 added tokens in Qwen's order at the end", () => {
  const ids = [
    '<|endoftext|>',
    '<|im_start|>',
    '<|im_end|>',
    '<|vision_start|>',
    '<|vision_end|>',
    '<|image_pad|>',
    '<|video_pad|>',
    '<tool_call>',
    '</tool_call>',
    '<tool_response>',
    '</tool_response>',
    '<think>',
    '</think>',
  ]
  expect(ids.map((t) => encode(t))).toEqual([
    [486],
    [487],
    [488],
    [495],
    [496],
    [498],
    [499],
    [500],
    [501],
    [508],
    [509],
    [510],
    [511],
  ])
})

test('property: any text comes back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
      fc.pre(text.length > 0)
      expect(decode(encode(text))).toBe(text.normalize('NFC'))
    }),
  )
})

test('names, coordinates and thoughts are one token each', () => {
  for (const text of ['m0', 'm7', 'a7', 'e1', 'e12', 'e31', '250', '1000', ...thoughtWords.map((w) => `${w} `)])
    expect([text, encode(text).length]).toEqual([text, 1])
})

test('calls are short and exactly what Qwen writes', () => {
  for (const family of families) {
    const { call } = demonstrate(loadQuestion(family, 'train', 1, 0), 'right', createRandom('t'))
    const json = JSON.stringify(call!.arguments).replaceAll('":', '": ').replaceAll(',', ', ')
    const text = `<tool_call>\n{"name": "${call!.name}", "arguments": ${json}}\n</tool_call>`
    expect(decode(encode(text))).toBe(text)
    expect(JSON.parse(text.slice(11, -12))).toEqual({ name: call!.name, arguments: call!.arguments })
    expect(encode(text).length).toBeLessThanOrEqual(12)
  }
})

test('the prompt takes at most 30 tokens beside the image and ends in an open thought', () => {
  const template = new Template(config.chat_template)
  const tools = suiteTools.map((name) => ({ type: 'function', function: { name, description: '', parameters: {} } }))
  for (const family of families) {
    const question = loadQuestion(family, 'train', 1, 0)
    const text = template.render({ messages: question.messages, tools, add_generation_prompt: true })
    expect(text).toContain('<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>')
    expect(text.endsWith('<|im_start|>assistant\n<think>\n')).toBe(true)
    expect(encode(text).length).toBeLessThanOrEqual(30)
    expect(encode('look \n</think>\n\n2<|im_end|>').length).toBeLessThanOrEqual(8)
  }
})
