/** Sampling at a batch of 64 prompts that share nothing: the whole, and decoding alone as the difference to sampling one token. */

import type { Model } from '../packages/model/src/index.ts'
import type { BenchContext, SectionResult } from './bench.ts'
import type { Table } from './report.ts'
import { median, timed } from './timing.ts'
import { closeAll, measureDevices, openAll } from './train.ts'
import { createPrompt, type Prompt, unshared, type Workload } from './workload.ts'

export interface DecodeTimes {
  /** Image encoding, prefill and the first token of every sequence. */
  readonly firstMs: number
  /** The same and all further tokens. */
  readonly wholeMs: number
}

/** Milliseconds to sample `tokens` tokens after every prompt. */
export async function sampleBatch(
  model: Model,
  prompts: readonly Prompt[],
  tokens: number,
  step: number,
): Promise<number> {
  const [results, ms] = await timed(() =>
    Promise.all(
      prompts.map((prompt, sample) =>
        model.sampler.sample({
          ...prompt,
          maxTokens: tokens,
          stopTokens: [],
          temperature: 1,
          key: { seed: 3, step, question: 0, sample },
        }),
      ),
    ),
  )
  // nothing of this round may be found in the cache of the next
  model.setParameters(await model.parameters())
  const short = results.filter((result) => result.tokens.length < tokens).length
  if (short > prompts.length / 4)
    throw new Error(
      `bench: sequences must run to ${tokens} tokens, got ${short} of ${prompts.length} that ended before. Use other seeds.`,
    )
  return ms
}

export async function runDecode(model: Model, { config, sizes }: Workload, step: number): Promise<DecodeTimes> {
  const prompts = Array.from({ length: sizes.decodeBatch }, (_, i) =>
    unshared(createPrompt(config, step * 1000 + i), i),
  )
  const firstMs = await sampleBatch(model, prompts, 1, step)
  const wholeMs = await sampleBatch(model, prompts, 1 + sizes.decodeTokens, step)
  return { firstMs, wholeMs }
}

export async function benchDecode(context: BenchContext): Promise<SectionResult> {
  const rows: Table['rows'][number][] = []
  const samples: Record<string, unknown> = {}
  for (const name of ['nano', 'small'] as const) {
    const open = await openAll(context, name)
    const results = await measureDevices(open, (one, repetition) => runDecode(one.model, one.workload, repetition))
    for (const { device, workload } of open) {
      const times = results.get(device.name)!
      const { decodeBatch, decodeTokens } = workload.sizes
      const first = median(times.map((time) => time.firstMs))
      const whole = median(times.map((time) => time.wholeMs))
      const decode = median(times.map((time) => time.wholeMs - time.firstMs))
      const tokens = decodeBatch * decodeTokens
      rows.push([
        name,
        device.name,
        `${decodeBatch} x ${decodeTokens}`,
        first,
        (tokens / decode) * 1000,
        decode / decodeTokens,
        ((tokens + decodeBatch) / whole) * 1000,
      ])
    }
    samples[name] = Object.fromEntries(results)
    await closeAll(open)
  }
  const columns = [
    'model',
    'device',
    'batch x tokens',
    'prefill + first token ms',
    'decode tokens/s',
    'ms a step',
    'tokens/s with prefill',
  ]
  const notes = [
    'Prompts of 45 tokens with an image each, none shared. Decode is the time of 1 + n tokens less that of one.',
  ]
  return { tables: [{ title: 'Sampling', columns, rows, notes }], samples }
}
