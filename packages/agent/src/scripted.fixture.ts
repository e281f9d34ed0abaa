/** What the rollout tests share: a codec that can be read, one question, and the turns that a scripted model plays. Not here: the scripted samplers. */
import type { Trajectory } from '@axpo/trajectory'
import type { ChatCodec, Task } from './index.ts'

const tags = [
  '<|im_start|>',
  '<|im_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|image_pad|>',
  '<tool_call>',
  '</tool_call>',
  '<tool_response>',
  '</tool_response>',
  '<think>',
  '</think>',
]
const pattern = new RegExp(`(${tags.map((t) => t.replaceAll('|', '\\|')).join('|')})`)
export const encode = (text: string): number[] =>
  text.split(pattern).flatMap((p) => (tags.includes(p) ? [1000 + tags.indexOf(p)] : [...p].map((c) => c.charCodeAt(0))))
export const decode = (ids: ArrayLike<number>): string =>
  Array.from(ids, (i) => (i >= 1000 ? tags[i - 1000]! : String.fromCharCode(i))).join('')

/** One token a character, tags from 1000 on, four pads an image. */
export const codec: ChatCodec = {
  encode,
  decode,
  tokenId: (token) => 1000 + tags.indexOf(token),
  renderPrompt: (messages) =>
    `${messages.map((m) => `<|im_start|>${m.role}\n${typeof m.content === 'string' ? m.content : m.content.map((c) => (c.type === 'image' ? '<|vision_start|><|image_pad|><|vision_end|>' : c.text)).join('')}<|im_end|>\n`).join('')}<|im_start|>assistant\n<think>\n`,
  imageTokenCount: () => 4,
}

export const original = { width: 128, height: 128, data: new Uint8Array(128 * 128 * 3).fill(7) }
export const task: Task = {
  questionId: 'q',
  family: 'zoom',
  split: 'train',
  messages: [{ role: 'user', content: [{ type: 'image' }, { type: 'text', text: 'digit?' }] }],
  images: [original],
  tools: ['image_zoom_in_tool', 'search', 'slow', 'broken'],
  documents: [{ id: 'd', title: 'e1 a1', text: '3' }],
  grade: (answer) => (answer === '2' ? 1 : 0),
}
export const call = (name: string, args: string) =>
  `look\n</think>\n\n<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`
export const zoom = call('image_zoom_in_tool', '{"bbox_2d": [0, 0, 250, 250], "label": "", "img_idx": 0}')
export const answer = 'so\n</think>\n\n2<|im_end|>'
export const kinds = (t: Trajectory) => t.segments.map((s) => s.kind).join(' ')
export const text = (t: Trajectory, from = 0, to = t.tokens.length) => decode(t.tokens.slice(from, to))
