/**
 * Parses a sampled turn in Qwen's Hermes format, on tokens: `{thought}</think>\n\n<tool_call>\n{json}\n</tool_call>` or `{thought}</think>\n\n{answer}<|im_end|>`. A literal
 * `<tool_call>` inside the thought is text, not a boundary. Nothing is ever rendered or tokenised again. Not here: running the call.
 */

/** Token ids the grammar turns on; read from the tokenizer at start-up. */
export interface HermesTokens {
  readonly thinkEnd: number
  readonly callStart: number
  readonly callEnd: number
  readonly turnEnd: number
}

/** Offsets are token indices into the turn. `callStart` is the opening tag: the last token of AXPO's prefix. */
export type ParsedTurn =
  | { readonly kind: 'call'; readonly callStart: number; readonly callEnd: number; readonly call: ParsedCall }
  | { readonly kind: 'answer'; readonly answerStart: number; readonly answer: string }
  | { readonly kind: 'failure'; readonly reason: 'no </think>' | 'open call' | 'no end of turn' }

export type ParsedCall =
  | {
      readonly ok: true
      readonly name: string
      readonly arguments: Readonly<Record<string, unknown>>
      readonly argumentsJson: string
    }
  | { readonly ok: false; readonly message: string; readonly text: string }

/** JSON with sorted keys at every depth: two calls are the same call exactly when these strings are equal. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

const isRecord = (v: unknown): v is Record<string, unknown> => v !== null && typeof v === 'object' && !Array.isArray(v)

/** Text between the tags. Strict JSON, no repair: repair would hide the format signal from training. */
export function parseCall(text: string): ParsedCall {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error), text }
  }
  if (!isRecord(value)) return { ok: false, message: 'expected an object with name and arguments', text }
  if (typeof value.name !== 'string') return { ok: false, message: 'name must be a string', text }
  const args = value.arguments ?? {}
  if (!isRecord(args)) return { ok: false, message: 'arguments must be an object', text }
  try {
    return { ok: true, name: value.name, arguments: args, argumentsJson: canonicalJson(args) }
  } catch {
    // the stack ended before the brackets did
    return { ok: false, message: 'arguments are nested too deeply', text }
  }
}

/** `decode` turns token ids to text, special tokens kept. The generation prompt has opened the thought already. */
export function parseTurn(
  turn: ArrayLike<number>,
  tokens: HermesTokens,
  decode: (ids: number[]) => string,
): ParsedTurn {
  const ids = Array.from(turn)
  const thinkEnd = ids.indexOf(tokens.thinkEnd)
  if (thinkEnd < 0) return { kind: 'failure', reason: 'no </think>' }
  const callStart = ids.indexOf(tokens.callStart, thinkEnd + 1)
  const turnEnd = ids.indexOf(tokens.turnEnd, thinkEnd + 1)
  if (callStart >= 0 && (turnEnd < 0 || callStart < turnEnd)) {
    const callEnd = ids.indexOf(tokens.callEnd, callStart + 1)
    if (callEnd < 0) return { kind: 'failure', reason: 'open call' }
    return { kind: 'call', callStart, callEnd: callEnd + 1, call: parseCall(decode(ids.slice(callStart + 1, callEnd))) }
  }
  if (turnEnd < 0) return { kind: 'failure', reason: 'no end of turn' }
  return { kind: 'answer', answerStart: thinkEnd + 1, answer: decode(ids.slice(thinkEnd + 1, turnEnd)).trim() }
}
