/** Sampling at a batch of 64 prompts that share nothing: one run, cut where the prompts are done. */

import type { Model } from '../packages/model/src/index.ts'
import type { BenchContext, SectionResult } from './bench.ts'
import { checkLengths, sampleToLength } from './full-length.ts'
import type { Table } from './report.ts'
import { median, now } from './timing.ts'
import { closeAll, measureDevices, openAll } from './train.ts'
import { createPrompt, type Prompt, unshared, type Workload } from './workload.ts'

export interface DecodeTimes {
  /** Image encoding, prefill and the first token of every sequence. */
  readonly firstMs: number
  /** The same and all further tokens. */
  readonly wholeMs: number
  /** Tokens sampled after firstMs. */
  readonly decodedTokens: number
  /** All tokens sampled. */
  readonly tokens: number
}

/**
 * When every prompt is through and has its first token, and how many tokens there are by then (sequences whose prompt was early have more than one). Looks
 * between the sampler's steps, which each begin in a turn of the event loop of their own.
 */
function watchPrompts(model: Model, prompts: readonly Prompt[]): Promise<{ at: number; sampled: number }> {
  const { statistics } = model.sampler
  const before = { ...statistics }
  const rows = prompts.reduce((sum, { tokens }) => sum + tokens.length, 0)
  return new Promise((resolve) => {
    const look = () => {
      const sampled = statistics.sampledTokens - before.sampledTokens
      const computed = statistics.computedTokens - before.computedTokens
      // a decoded row is counted in both, so the difference is of the prompts
      if (sampled >= prompts.length && computed - sampled >= rows - prompts.length) resolve({ at: now(), sampled })
      else setImmediate(look)
    }
    look()
  })
}

/** Samples `tokens` tokens after every prompt. */
export async function sampleBatch(
  model: Model,
  prompts: readonly Prompt[],
  tokens: number,
  step: number,
): Promise<DecodeTimes> {
  const start = now()
  const watched = watchPrompts(model, prompts)
  const results = await Promise.all(
    prompts.map((prompt, sample) =>
      sampleToLength(model.sampler, {
        ...prompt,
        maxTokens: tokens,
        stopTokens: [],
        temperature: 1,
        key: { seed: 3, step, question: 0, sample },
      }),
    ),
  )
  const end = now()
  const first = await watched
  checkLengths(results, tokens)
  // nothing of this round may be found in the cache of the next
  model.setParameters(await model.parameters())
  const all = tokens * prompts.length
  return { firstMs: first.at - start, wholeMs: end - start, decodedTokens: all - first.sampled, tokens: all }
}

export function runDecode(model: Model, { config, sizes }: Workload, step: number): Promise<DecodeTimes> {
  const prompts = Array.from({ length: sizes.decodeBatch }, (_, i) =>
    unshared(createPrompt(config, step * 1000 + i), i),
  )
  return sampleBatch(model, prompts, 1 + sizes.decodeTokens, step)
}

export const decodeMs = ({ wholeMs, firstMs }: DecodeTimes): number => wholeMs - firstMs
export const decodeRate = (times: DecodeTimes): number => (times.decodedTokens / decodeMs(times)) * 1000

export async function benchDecode(context: BenchContext): Promise<SectionResult> {
  const rows: Table['rows'][number][] = []
  const samples: Record<string, unknown> = {}
  for (const name of ['nano', 'small'] as const) {
    const open = await openAll(context, name)
    const results = await measureDevices(open, (one, repetition) => runDecode(one.model, one.workload, repetition))
    for (const { device, workload } of open) {
      const times = results.get(device.name)!
      const { decodeBatch, decodeTokens } = workload.sizes
      rows.push([
        name,
        device.name,
        `${decodeBatch} x ${decodeTokens}`,
        median(times.map((time) => time.firstMs)),
        median(times.map(decodeRate)),
        median(times.map((time) => (decodeBatch / decodeRate(time)) * 1000)),
        median(times.map((time) => (time.tokens / time.wholeMs) * 1000)),
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
    'Prompts of 45 tokens with an image each, none shared. Decode: what is sampled after every sequence has its first token, in the same run.',
  ]
  return { tables: [{ title: 'Sampling', columns, rows, notes }], samples }
}
