/**
 * Sampling to a fixed length. Random weights sample an image pad once in some hundred tokens; no image belongs to it, so the sampler ends the sequence there.
 * Here such a token is drawn again, from the same place under another key: every token is the policy's own, with its log-probability, and every sequence has the
 * length asked for. The extra draws are part of the measured time. Not here: the sampler, whose rule stays as it is for training.
 */
import type { Model } from '../packages/model/src/index.ts'

type Sampler = Model['sampler']
type Request = Parameters<Sampler['sample']>[0]
type Result = Awaited<ReturnType<Sampler['sample']>>

/** Far above the numbers of rollouts and of their continuations. */
const REDRAW = 100_000

/** Exactly `request.maxTokens` tokens; stop tokens are sampled like any other. */
export async function sampleToLength(sampler: Sampler, request: Request): Promise<Result> {
  const parts: Result[] = []
  const { key } = request
  let context = request.tokens
  for (let draw = 0; context.length - request.tokens.length < request.maxTokens; draw++) {
    const maxTokens = request.maxTokens - (context.length - request.tokens.length)
    const part = await sampler.sample({
      ...request,
      tokens: context,
      maxTokens,
      stopTokens: [],
      key: { ...key, sample: key.sample + draw * REDRAW },
    })
    // a sequence that ended before ended in a pad
    const kept = part.tokens.length < maxTokens ? part.tokens.length - 1 : maxTokens
    parts.push({
      ...part,
      tokens: part.tokens.subarray(0, kept),
      logprobs: part.logprobs.subarray(0, kept),
      entropies: part.entropies.subarray(0, kept),
    })
    context = Int32Array.from([...context, ...parts.at(-1)!.tokens])
  }
  const join = (pick: (part: Result) => Float32Array) => Float32Array.from(parts.flatMap((part) => [...pick(part)]))
  return {
    tokens: context.slice(request.tokens.length),
    logprobs: join((part) => part.logprobs),
    entropies: join((part) => part.entropies),
    finish: 'length',
    weightVersion: parts[0]!.weightVersion,
  }
}

/** Throws where a sequence is shorter than it must be: its time would be of less work. */
export function checkLengths(got: readonly { readonly tokens: { readonly length: number } }[], tokens: number): void {
  const short = got.filter((one) => one.tokens.length !== tokens).length
  if (short > 0)
    throw new Error(
      `bench: every sequence must have ${tokens} sampled tokens, got ${short} of ${got.length} that have not. Look at sampleToLength.`,
    )
}
