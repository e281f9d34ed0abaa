/**
 * Losses, gradients and advantages against TRL's and verl's own functions, case by case: PARITY.md has the table of options. Goldens:
 * scripts/goldens/losses.py. A case without an option here is pending: counted and printed, with its reason in golden/manifest.json.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type AdvantageOptions, loadAdvantage } from '@axpo/advantage'
import { describe, expect, it } from 'vitest'
import type { KlEstimator } from './kl.ts'
import { sequenceLoss } from './loss.ts'
import { type LossSettings, type Recipe, recipeDefaults } from './recipe.ts'
import type { Rollout } from './rollout.ts'
import { planLoss } from './weights.ts'

type Options = LossSettings & Pick<Recipe, 'aggregation' | 'constantLength'>

interface Batch {
  readonly logp: number[][]
  readonly old: number[][]
  readonly ref: number[][]
  readonly entropy: number[][]
  readonly mask: number[][]
  readonly advantages: number[]
}

interface Case {
  readonly id: string
  readonly pending?: string
  readonly differs?: string
}

interface LossCase extends Case {
  readonly batch: string
  readonly ours?: Options
  readonly nearest?: Options
  readonly loss: number
  readonly gradient: number[][]
  /** With respect to entropies. */
  readonly entropyGradient?: number[][]
  readonly metrics: Record<string, number>
}

interface AdvantageCase extends Case {
  readonly rewards: number[]
  readonly groups: number[]
  readonly f64: number[]
  readonly tolerance?: number
  readonly ours?: AdvantageOptions
}

interface KlCase extends Case {
  readonly ours?: KlEstimator
  readonly logp: number[]
  readonly ref: number[]
  readonly value: number[]
  readonly gradient: number[]
  /** Where verl's clamps act: not compared. */
  readonly clamped?: number[]
}

const read = <T>(name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8')) as T
const golden = read<{
  batches: Record<string, Batch>
  losses: LossCase[]
  advantages: AdvantageCase[]
  kl: KlCase[]
  correction: Case[]
}>('losses.json')
const manifest = read<{
  files: Record<string, { sha256: string }>
  cases: number
  matched: number
  pending: Record<string, string>
  differs: Record<string, string>
}>('manifest.json')
const advantage = await loadAdvantage()

/** Largest difference over the largest absolute value. */
function scaledError(got: readonly number[], want: readonly number[]): number {
  expect(got.length).toBe(want.length)
  const largest = (values: readonly number[]) => values.reduce((m, x) => Math.max(m, Math.abs(x)), 0)
  const difference = largest(got.map((x, i) => x - want[i]!))
  return difference === 0 ? 0 : difference / largest(want)
}

/** The rows of a golden batch as the rollouts of one question. */
function rolloutsOf(batch: Batch): Rollout[] {
  return batch.mask.map((row, sample) => ({
    id: `${sample}`,
    question: 0,
    sample,
    parent: null,
    tokens: { length: row.length },
    logprobs: Float32Array.from(batch.old[sample]!),
    entropies: new Float32Array(row.length),
    trainable: Uint8Array.from(row),
    segments: [{ kind: 'answer', start: 0, end: row.length }],
    reward: 0,
  }))
}

interface OwnLoss {
  readonly loss: number
  readonly gradient: number[][]
  readonly entropyGradient: number[][]
  readonly kl: number
}

/** Loss, gradients and k3 mean of a batch under our options, with the golden's advantages in place of the group's. */
function ownLoss(batch: Batch, options: Options): OwnLoss {
  const recipe: Recipe = { ...recipeDefaults, name: 'parity', budget: 0, ...options }
  const plan = planLoss({ rollouts: rolloutsOf(batch), plan: [], continuations: [], recipe, advantage })
  let loss = 0
  let kl = 0
  const parts = plan.rollouts.map((weights, i) => {
    const row = (values: number[][]) => Float32Array.from(values[i]!)
    const part = sequenceLoss(
      { ...weights, advantage: batch.advantages[i]! },
      recipe,
      row(batch.logp),
      row(batch.old),
      row(batch.ref),
      row(batch.entropy),
    )
    loss += part.loss
    kl += part.klSum
    return part
  })
  return {
    loss,
    gradient: parts.map((p) => [...p.dLossDLogp]),
    entropyGradient: parts.map((p) => [...(p.dLossDEntropy ?? [])]),
    kl: kl / plan.trainedTokens,
  }
}

function lossError(entry: LossCase, options: Options): number {
  const own = ownLoss(golden.batches[entry.batch]!, options)
  return Math.max(
    scaledError([own.loss], [entry.loss]),
    scaledError(own.gradient.flat(), entry.gradient.flat()),
    scaledError(own.entropyGradient.flat(), entry.entropyGradient?.flat() ?? []),
  )
}

const withOption = <T extends Case & { readonly ours?: unknown }>(cases: readonly T[]) => cases.filter((c) => c.ours)
const onPurpose = <T extends Case>(cases: readonly T[]) => cases.filter((c) => c.differs)

/** Worst errors seen, printed at the end; of advantages, those whose golden is f64 throughout. */
const worst = { loss: 0, advantage: 0 }

describe('losses and gradients', () => {
  it.each(withOption(golden.losses))('$id', (entry) => {
    const error = lossError(entry, entry.ours!)
    worst.loss = Math.max(worst.loss, error)
    expect(error).toBeLessThan(1e-6)
    // TRL reports the mean k3 over all trained tokens
    if (entry.ours!.klWeight > 0 && entry.id.startsWith('trl'))
      expect(scaledError([ownLoss(golden.batches[entry.batch]!, entry.ours!).kl], [entry.metrics.kl!])).toBeLessThan(
        1e-6,
      )
  })

  it.each(onPurpose(golden.losses))('$id: differs on purpose', (entry) => {
    expect(lossError(entry, entry.nearest!), entry.differs).toBeGreaterThan(1e-3)
  })
})

describe('advantages', () => {
  const offsetsOf = (groups: readonly number[]) => [
    ...groups.flatMap((g, i) => (i === 0 || g !== groups[i - 1] ? [i] : [])),
    groups.length,
  ]

  it.each(withOption(golden.advantages))('$id', ({ rewards, groups, f64, ours, tolerance }) => {
    const error = scaledError([...advantage.group(rewards, offsetsOf(groups), ours!)], f64)
    if (tolerance === 1e-12) worst.advantage = Math.max(worst.advantage, error)
    expect(error).toBeLessThan(tolerance!)
  })

  it.each(onPurpose(golden.advantages))('$id: differs on purpose', ({ rewards, groups, f64 }) => {
    const own = () => [...advantage.group(rewards, offsetsOf(groups))]
    if (rewards.some((reward) => !Number.isFinite(reward))) expect(own).toThrow(/rewards must be finite/)
    else if (new Set(rewards).size === 1) expect(own()).toEqual(rewards.map(() => 0))
    else expect(scaledError(own(), f64)).toBeGreaterThan(1e-3)
  })
})

describe('KL estimators', () => {
  it.each(withOption(golden.kl))('$id', ({ logp, ref, value, gradient, clamped, ours }) => {
    const options = { clipLow: 0.2, clipHigh: 0.2, klWeight: 1, klEstimator: ours! }
    for (const [i, expected] of value.entries()) {
      if (clamped?.includes(i)) continue
      const row = (x: number) => Float32Array.of(x)
      const part = sequenceLoss(
        { advantage: 0, start: 0, end: 1, weights: row(1) },
        options,
        row(logp[i]!),
        row(logp[i]!),
        row(ref[i]!),
      )
      if (ours!.startsWith('k3')) expect(part.klSum).toBeCloseTo(expected, 12)
      expect(part.loss).toBeCloseTo(expected, 12)
      expect(part.dLossDLogp[0]).toBeCloseTo(gradient[i]!, 5)
    }
    expect(clamped!.length).toBeLessThan(value.length / 2)
  })
})

it('every case is matched, pending or different on purpose, and the manifest says which', () => {
  const all: readonly (Case & { readonly ours?: unknown })[] = [
    ...golden.losses,
    ...golden.advantages,
    ...golden.kl,
    ...golden.correction,
  ]
  for (const { id, ours, pending, differs } of all)
    expect([ours, pending, differs].filter((x) => x !== undefined).length, id).toBe(1)
  const reasons = (key: 'pending' | 'differs') =>
    Object.fromEntries(all.flatMap((c) => (c[key] === undefined ? [] : [[c.id, c[key]]])))
  const bytes = readFileSync(new URL('../golden/losses.json', import.meta.url))
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(manifest.files['losses.json']!.sha256)
  expect(reasons('pending')).toEqual(manifest.pending)
  expect(reasons('differs')).toEqual(manifest.differs)
  expect(all.length).toBe(manifest.cases)
  expect(all.filter((c) => c.ours).length).toBe(manifest.matched)
  const counts = new Map<string, number>()
  for (const reason of Object.values(manifest.pending)) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  console.info(
    [
      `policy/parity: ${manifest.matched} of ${manifest.cases} cases match, ${Object.keys(manifest.differs).length} differ on purpose, ${Object.keys(manifest.pending).length} PENDING:`,
      `  (worst error of a loss or gradient ${worst.loss.toExponential(1)}, of an advantage ${worst.advantage.toExponential(1)})`,
      ...[...counts].map(([reason, count]) => `  ${count} ${reason}`),
    ].join('\n'),
  )
})
