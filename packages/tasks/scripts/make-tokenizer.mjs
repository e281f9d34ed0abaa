// Writes nano/tokenizer.json and nano/tokenizer_config.json: Qwen's byte-level BPE set-up with 512 tokens. Run by hand; the outputs are committed.
// 256 bytes, merges learnt from the suite's own texts, added tokens for its recurring fragments, then Qwen's 26 added tokens in Qwen's order at 486-511.
import { writeFileSync } from 'node:fs'

const vocabularySize = 512
const qwenAdded = [
  ['<|endoftext|>', true],
  ['<|im_start|>', true],
  ['<|im_end|>', true],
  ['<|object_ref_start|>', true],
  ['<|object_ref_end|>', true],
  ['<|box_start|>', true],
  ['<|box_end|>', true],
  ['<|quad_start|>', true],
  ['<|quad_end|>', true],
  ['<|vision_start|>', true],
  ['<|vision_end|>', true],
  ['<|vision_pad|>', true],
  ['<|image_pad|>', true],
  ['<|video_pad|>', true],
  ['<tool_call>', false],
  ['</tool_call>', false],
  ['<|fim_prefix|>', false],
  ['<|fim_middle|>', false],
  ['<|fim_suffix|>', false],
  ['<|fim_pad|>', false],
  ['<|repo_name|>', false],
  ['<|file_sep|>', false],
  ['<tool_response>', false],
  ['</tool_response>', false],
  ['<think>', false],
  ['</think>', false],
]
const numbered = (prefix, n) => Array.from({ length: n }, (_, i) => `${prefix}${i}`)
const fragments = [
  '\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [',
  '], "label": "", "img_idx": 0}}\n',
  '\n{"name": "python", "arguments": {"code": "',
  '%13%4"}}\n',
  '\n{"name": "search", "arguments": {"query": "',
  '"}}\n',
  '\n{"name": "image_search", "arguments": {"img_idx": 0}}\n',
  'image_zoom_in_tool\n',
  'python\n',
  'search\n',
  'image_search\n',
  'system\n',
  'user\n',
  'assistant\n',
  '\n\n',
  'digit at ',
  '(a*b%13)%4?',
  ' of this icon?',
  'Error: ',
  'invalid JSON in tool_call: ',
  'unknown tool ',
  'bad arguments for ',
  '[1] ',
  ' — ',
  '=> ',
  ', ',
  '250',
  '500',
  '750',
  '1000',
  ...[
    'hmm',
    'look',
    'so',
    'well',
    'ok',
    'now',
    'see',
    'let',
    'maybe',
    'first',
    'then',
    'right',
    'yes',
    'wait',
    'sure',
    'fine',
  ].map((w) => `${w} `),
]
// longer names first: added tokens match leftmost, and e12 must not be read as e1 followed by 2
const names = [...numbered('m', 8), ...numbered('a', 8), ...numbered('e', 32)]

/** GPT-2's printable stand-ins for the 256 bytes. */
function byteCharacters() {
  const printable = [...Array(94).keys()]
    .map((i) => i + 33)
    .concat(
      [...Array(12).keys()].map((i) => i + 161),
      [...Array(82).keys()].map((i) => i + 174),
    )
  const map = new Map(printable.map((b) => [b, String.fromCharCode(b)]))
  let next = 256
  for (let b = 0; b < 256; b++) if (!map.has(b)) map.set(b, String.fromCharCode(next++))
  return map
}

const corpus =
  'No search results found. Error: failed timed out after arguments label code query name index must be number string required property The answer is the image ' +
  'Traceback line SyntaxError invalid syntax NameError not defined matching images were found available tools bbox must have left right top bottom inside order'

/** Plain BPE training on words of the corpus, ties by first occurrence. */
function learnMerges(count, characters) {
  const words = new Map()
  for (const word of corpus.match(/ ?\p{L}+| ?[^\s\p{L}]+|\s+/gu)) {
    const symbols = [...new TextEncoder().encode(word)].map((b) => characters.get(b)).join('\u0001')
    words.set(symbols, (words.get(symbols) ?? 0) + 1)
  }
  let entries = [...words].map(([s, n]) => ({ symbols: s.split('\u0001'), n }))
  const merges = []
  while (merges.length < count) {
    const pairs = new Map()
    for (const { symbols, n } of entries)
      for (let i = 0; i + 1 < symbols.length; i++)
        pairs.set(`${symbols[i]} ${symbols[i + 1]}`, (pairs.get(`${symbols[i]} ${symbols[i + 1]}`) ?? 0) + n)
    const best = [...pairs].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0])
    if (best[1] === 0)
      throw new Error(`make-tokenizer: the corpus yields only ${merges.length} of ${count} merges. Give it more text.`)
    const [left, right] = best[0].split(' ')
    merges.push([left, right])
    entries = entries.map(({ symbols, n }) => {
      const merged = []
      for (let i = 0; i < symbols.length; i++) {
        if (symbols[i] === left && symbols[i + 1] === right) merged.push(left + symbols[++i])
        else merged.push(symbols[i])
      }
      return { symbols: merged, n }
    })
  }
  return merges
}

const characters = byteCharacters()
const mergeCount = vocabularySize - 256 - fragments.length - names.length - qwenAdded.length
const merges = learnMerges(mergeCount, characters)
const vocab = Object.fromEntries(
  [...characters.values(), ...merges.map(([a, b]) => a + b)].map((token, id) => [token, id]),
)
const base = Object.keys(vocab).length
const plain = [...fragments, ...names]
const added = [...plain.map((content) => [content, false]), ...qwenAdded].map(([content, special], i) => ({
  id: base + i,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
}))
const pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: added,
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, byteLevel],
  },
  post_processor: byteLevel,
  decoder: byteLevel,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab,
    merges,
  },
}
// Qwen's template in shape: a system turn that lists the tools (by name only), user and tool turns, and a generation prompt that opens the thought.
const chatTemplate = [
  "{%- macro render(content) %}{%- if content is string %}{{- content }}{%- else %}{%- for item in content %}{%- if item.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}{%- else %}{{- item.text }}{%- endif %}{%- endfor %}{%- endif %}{%- endmacro %}",
  "{%- if tools %}{{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- tool.function.name + '\\n' }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}",
  '{%- for message in messages %}',
  "{%- if message.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + render(message.content) + '\\n</tool_response><|im_end|>\\n' }}",
  "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + render(message.content) + '<|im_end|>\\n' }}{%- endif %}",
  '{%- endfor %}',
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}",
].join('')
const config = {
  tokenizer_class: 'Qwen2Tokenizer',
  add_bos_token: false,
  add_prefix_space: false,
  bos_token: null,
  eos_token: '<|im_end|>',
  pad_token: '<|endoftext|>',
  unk_token: null,
  model_max_length: 4096,
  chat_template: chatTemplate,
}
const total = base + added.length
if (total !== vocabularySize)
  throw new Error(`make-tokenizer: vocabulary must have ${vocabularySize} tokens, got ${total}.`)
for (const [name, value] of [
  ['tokenizer.json', tokenizer],
  ['tokenizer_config.json', config],
])
  writeFileSync(new URL(`../nano/${name}`, import.meta.url), `${JSON.stringify(value, null, 1)}\n`)
console.log(
  `nano tokenizer: ${total} tokens, ${merges.length} merges, ${plain.length} fragments, Qwen's from id ${base + plain.length}`,
)
