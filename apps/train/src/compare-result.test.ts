/** From cells with figures by formula to results that can be worked out by hand. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type MadeUp, madeUpPlan, writeMadeUp } from './compare.fixture.ts'
import { writeComparison } from './compare.ts'
import { cellJob, savePlan } from './compare-plan.ts'
import { loadGroups } from './compare-read.ts'
import { type CompareResult, compareResult } from './compare-result.ts'
import { readJson } from './run-folder.ts'

const directories: string[] = []
afterAll(() => {
  for (const d of directories) rmSync(d, { recursive: true })
})
function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'axpo-compare-result-'))
  directories.push(directory)
  return directory
}
const bootstrap = { replicates: 300, seed: 1, level: 0.95 }

/** Right of 8: SFT 1; GRPO 2 and, past 4 steps, 3; AXPO 4, and 6 in zoom. AXPO spends half as much again. */
const simple: MadeUp = {
  counts(cell, step, { family }) {
    const correct = cell === null ? 1 : cell.recipe === 'grpo' ? (step > 4 ? 3 : 2) : family === 'zoom' ? 6 : 4
    return cell?.recipe === 'axpo'
      ? { correct, toolUsing: 6, toolUsingCorrect: correct - 1 }
      : { correct, toolUsing: family === 'zoom' ? 0 : 2, toolUsingCorrect: 0 }
  },
  metrics: (cell, step) => ({
    toolUseRate: cell.recipe === 'axpo' ? 0.1 * step : 0.1,
    ...(cell.recipe === 'axpo' && step % 2 === 0 ? { recoveryRate: 0.5, selectedPrefixes: 2 } : {}),
  }),
  spent: (cell) =>
    cell.recipe === 'axpo' ? { rollouts: 24, tokens: 2000 + cell.seed } : { rollouts: 16, tokens: 1000 },
}

function resultOf(directory: string, plan = madeUpPlan) {
  return compareResult(plan, loadGroups(directory, plan), bootstrap)
}

describe('results', () => {
  it('scores, differences and tests are those of the counts', () => {
    const directory = folder()
    const plan = { ...madeUpPlan, equalRollouts: true }
    writeMadeUp(directory, plan, simple)
    const group = resultOf(directory, plan).groups[0]!
    expect(group.families).toEqual(['python', 'search', 'zoom'])
    const [grpo, axpo, equal] = group.arms
    expect(group.start.passAt1.mean.estimate).toBe(1 / 8)
    expect(grpo!.passAt1.mean).toMatchObject({ estimate: 0.25, low: 0.25, high: 0.25, seeds: 3, replicates: 300 })
    expect(axpo!.passAt1.mean.estimate).toBeCloseTo((4 / 8 + 4 / 8 + 6 / 8) / 3, 12)
    expect(axpo!.passAt1.families.zoom!.estimate).toBe(6 / 8)
    // Pass@4 of 4 of 8 is .985714 (Chen et al. 2021)
    expect(axpo!.passAt4!.families.search!.estimate).toBeCloseTo(0.985714, 6)
    expect(axpo!.tokens).toEqual([1, 2, 3].map((seed) => 4 * (2000 + seed)))

    // 4 steps of 24 rollouts are 6 steps of 16
    expect(equal).toMatchObject({ recipe: 'grpo', rolloutsOf: 'axpo', steps: [6, 6, 6], rollouts: [96, 96, 96] })
    expect(axpo!.rollouts).toEqual([96, 96, 96])

    const pass1 = group.comparisons.filter((c) => c.metric === 'Pass@1')
    expect(pass1.map((c) => c.at)).toEqual(['equal steps', 'equal rollouts'])
    expect(pass1[0]!.families.python).toMatchObject({ estimate: 0.25, low: 0.25, high: 0.25, signFlipP: 0.25 })
    expect(pass1[0]!.families.zoom!.estimate).toBe(0.5)
    expect(pass1[0]!.mean.estimate).toBeCloseTo(1 / 3, 12)
    expect(pass1[0]!.mean.p).toBeCloseTo(2 / 301, 12)
    expect(pass1[0]!.mean.improvement).toMatchObject({ estimate: 1, low: 1, high: 1, seeds: 3 })
    expect(pass1[1]!.families.python!.estimate).toBe(0.125)

    // trapezoids over steps 0, 2, 4: (1/8 + 2/8) / 2 half of the way, 2/8 the other
    expect(group.areas.grpo!.mean.estimate).toBeCloseTo((0.1875 + 0.25) / 2, 12)
  })

  it('tool figures count subgroups and leave empty ones out', () => {
    const directory = folder()
    writeMadeUp(directory, madeUpPlan, simple)
    const [grpo, axpo] = resultOf(directory).groups[0]!.arms
    const from = { seeds: 3, questions: 6, replicates: 300 }
    // seeds and questions of a family are alike here: no draw moves a rate
    const sure = (v: number) => ({ estimate: v, low: v, high: v, ...from })
    expect(grpo!.rates).toEqual({
      toolUse: sure((2 / 3) * (2 / 8)),
      allWrong: sure(1),
      rightWithTool: sure(0),
      rightWithoutTool: sure((3 * 2) / (6 + 6 + 8)),
      // of the two families that were tried both ways
      gap: sure(-2 / 6),
    })
    expect(grpo!.ratesByFamily.zoom).toEqual({
      toolUse: { ...sure(0), questions: 2 },
      allWrong: null,
      rightWithTool: null,
      rightWithoutTool: { ...sure(2 / 8), questions: 2 },
      gap: null,
    })
    expect(axpo!.rates).toMatchObject({ toolUse: sure(0.75), allWrong: sure(0) })
  })

  it('curves: trailing means of each seed, gaps where nothing was measured, rollouts beside steps', () => {
    const directory = folder()
    writeMadeUp(directory, madeUpPlan, simple)
    const { axpo, grpo } = resultOf(directory).groups[0]!.curves
    expect(axpo!.bandKind).toBe('min-max')
    expect(axpo!.training.toolUse.bands.map((b) => b!.mean)).toEqual(
      [0.1, 0.15, 0.2, 0.25].map((v) => expect.closeTo(v, 12)),
    )
    expect(axpo!.training.recovery.bands.map((b) => b?.mean ?? null)).toEqual([null, 0.5, 0.5, 0.5])
    expect(grpo!.training.recovery.bands).toEqual([null, null, null, null])
    expect(axpo!.passAt1.steps).toEqual([0, 2, 4])
    expect(axpo!.passAt1.rollouts).toEqual([0, 48, 96])
    expect(grpo!.passAt1.bands.map((b) => b!.mean)).toEqual([0.125, 0.25, 0.25])
  })

  it('forks: ratios of sums over all steps, what a step measured is its weight', () => {
    const directory = folder()
    const fork = (prefixes: number) => ({ selectedPrefixes: prefixes, extraRollouts: 4 * prefixes })
    writeMadeUp(directory, madeUpPlan, {
      ...simple,
      // step 2: 6 prefixes, 4 with a call, 2 ranked calls; step 4: 2 prefixes, and metrics of before, that do not count the calls: a quarter of 24 - 8
      metrics: (cell, step) =>
        cell.recipe === 'axpo' && step === 2
          ? {
              ...fork(6),
              recoveryRate: 1 / 3,
              distinctCallsPerPrefix: 3,
              calledPrefixes: 4,
              rankingPearson: 0.5,
              rankedCalls: 2,
            }
          : cell.recipe === 'axpo' && step === 4
            ? { ...fork(2), recoveryRate: 1, distinctCallsPerPrefix: 1, rankingPearson: 0.8, toolUseRate: 0.25 }
            : { rankingPearson: null },
    })
    const { forks } = resultOf(directory).groups[0]!
    const none = {
      prefixes: 0,
      continuations: null,
      recovered: null,
      distinctCalls: null,
      pearson: null,
      spearman: null,
    }
    expect(forks.grpo).toEqual({ bandKind: 'min-max', ...none })
    const every = (v: number, count: number) => ({
      mean: expect.closeTo(v, 12),
      low: expect.closeTo(v, 12),
      high: expect.closeTo(v, 12),
      seeds: 3,
      count,
    })
    expect(forks.axpo).toEqual({
      ...none,
      bandKind: 'min-max',
      prefixes: 2,
      continuations: 4,
      recovered: every(4 / 8, 24),
      distinctCalls: every((4 * 3 + 2) / 6, 18),
      pearson: every((2 * 0.5 + 4 * 0.8) / 6, 18),
    })
  })

  it('only seeds that every recipe has finished count, and the others are named', () => {
    const directory = folder()
    writeMadeUp(directory, madeUpPlan, simple)
    rmSync(join(cellJob(directory, madeUpPlan, { recipe: 'axpo', seed: 2, easyShare: 0.5 }).directory, 'evaluations'), {
      recursive: true,
    })
    const group = resultOf(directory).groups[0]!
    expect(group.seeds).toEqual([1, 3])
    expect(group.unfinishedSeeds).toEqual([2])
    expect(writeComparison({ directory, bootstrap, processes: 1 }).text).toContain(
      '2 seeds of 3; the others are not finished',
    )
  })

  it('refuses a folder without a whole seed, and evaluations made otherwise', () => {
    const directory = folder()
    savePlan(directory, madeUpPlan)
    expect(() => resultOf(directory)).toThrow(/must hold a seed that every recipe \(grpo, axpo\) has finished/)
    writeMadeUp(directory, madeUpPlan, simple)
    expect(() => resultOf(directory, { ...madeUpPlan, samples: 4 })).toThrow(/must have been made with .*"samples":4/)
  })
})

describe('files', () => {
  /** A gap: GRPO's tool use falls, AXPO's rises; seeds and questions differ. */
  const gap: MadeUp = {
    counts(cell, step, { family, index, easyShare }) {
      const wave = Math.sin(index * 7 + (cell?.seed ?? 0) * 3 + step)
      const share = (cell?.recipe === 'axpo' ? step / 40 : step / 90) + 0.3 + easyShare / 4
      const correct = Math.max(0, Math.min(8, Math.round(8 * share + 2 * wave + (family === 'zoom' ? -1 : 0))))
      const toolUsing = cell?.recipe === 'axpo' ? 5 : 2
      return { correct, toolUsing, toolUsingCorrect: Math.min(correct, toolUsing) }
    },
    metrics: (cell, step) => ({
      toolUseRate: 0.3 + (cell.recipe === 'axpo' ? step : -step) / 40 + cell.seed / 100,
      allWrongToolRate: 0.4,
      accuracyWithTool: 0.3,
      ...(cell.recipe === 'axpo'
        ? { recoveryRate: 0.15, selectedPrefixes: 3, extraRollouts: 12, distinctCallsPerPrefix: 2 + cell.seed / 10 }
        : {}),
      rankingPearson: 0.7 + cell.seed / 50,
      rankedCalls: 4,
      toolErrors: step === 3 ? { timeout: 2 } : {},
    }),
    spent: (cell) => (cell.recipe === 'grpo' ? { rollouts: 16, tokens: 900 } : { rollouts: 19, tokens: 1100 }),
  }
  const plan = {
    ...madeUpPlan,
    recipes: ['grpo', 'axpo', 'axpo-random'],
    seeds: [1, 2, 3, 4, 5, 6],
    easyShares: [0, 0.5],
    steps: 10,
    evalQuestions: 12,
    unseenQuestions: 3,
    equalRollouts: true,
  }

  it('every interval has its seeds, questions and replicates beside it; figures draw from numbers only', () => {
    const directory = folder()
    writeMadeUp(directory, plan, gap)
    const { text } = writeComparison({ directory, bootstrap, processes: 2 })
    expect(text).toContain('6 seeds, 12 questions, 300 replicates')
    const markdown = readFileSync(join(directory, 'compare.md'), 'utf8')
    for (const line of markdown.split('\n').filter((l) => l.startsWith('|') && /\[[-+\d]/.test(l)))
      expect(line).toMatch(/\d+ seeds?, (\d+ questions, )?300 replicates \|$/)
    for (const title of ['Map of settings', 's = 0 ', 's = 0.5 ', 'Cost', 'unseen tool', 'Difference to grpo: Pass@4'])
      expect(markdown).toContain(title)
    // 2 of 10 steps: .3 -+ 1.5 / 40 + .035 at first, .3 -+ 9.5 / 40 + .035 at last
    expect(markdown).toMatch(/\| Tool use in training \| %.* \| 29\.[78] → 9\.[78] \| 37\.[23] → 57\.[23] \|/)
    expect(markdown).toMatch(/\| Tool errors: timeout \| errors a step \| 0 → 0 \|.* 6 \|/)
    expect(markdown).toContain('2.35 [2.')
    expect(markdown).toMatch(/smallest that 6 seeds can give is 0\.031\. .*Holm p:.* over 2 recipes is 0\.063/)
    const html = readFileSync(join(directory, 'compare.html'), 'utf8')
    expect(html).not.toMatch(/NaN|undefined|Infinity|<script|https?:\/\/(?!www\.w3\.org\/2000\/svg)/)
    for (const title of [
      'Tool use in training',
      'Recovered prefixes',
      'Pass@1 on the test split over s',
      'rollouts spent',
      'Diagnostics along training',
      'Pass@1 where a tool was tried',
      'Ranking agreement, Pearson',
      'Tool errors: timeout',
      'Clip fraction',
    ])
      expect(html).toContain(title)
    expect(html.match(/<svg/g)!.length).toBeGreaterThan(25)
  })

  it('compares with another of its recipes on request, in files of their own and at equal steps only', () => {
    const directory = folder()
    const small = { ...plan, seeds: [1, 2], easyShares: [0.5] }
    writeMadeUp(directory, small, gap)
    const own = writeComparison({ directory, bootstrap, processes: 2 })
    const first = readFileSync(join(directory, 'compare.json'), 'utf8')
    const other = writeComparison({ directory, bootstrap, processes: 2, baseline: 'axpo' })
    expect([own.name, other.name]).toEqual(['compare', 'compare-to-axpo'])
    expect(readFileSync(join(directory, 'compare.json'), 'utf8')).toBe(first)
    const [to, from] = [first, readFileSync(join(directory, 'compare-to-axpo.json'), 'utf8')].map(
      (text) => (JSON.parse(text) as CompareResult).groups[0]!.comparisons,
    )
    const pick = (all: typeof to, recipe: string) =>
      all!.find((d) => d.recipe === recipe && d.at === 'equal steps' && d.metric === 'Pass@1')!
    expect(pick(from, 'grpo').mean.estimate).toBeCloseTo(-pick(to, 'axpo').mean.estimate, 8)
    expect(pick(from, 'axpo-random').baseline).toBe('axpo')
    expect(from!.map((d) => d.at)).not.toContain('equal rollouts')
    expect(to!.map((d) => d.at)).toContain('equal rollouts')
    expect(() => writeComparison({ directory, bootstrap, processes: 2, baseline: 'gspo' })).toThrow(
      /--baseline must be one of --recipes \(grpo, axpo, axpo-random\), got gspo/,
    )
  })

  it('the same cells give the same bytes; wall times are not among them', () => {
    const directory = folder()
    const small = { ...plan, seeds: [1, 2], easyShares: [0.5] }
    writeMadeUp(directory, small, gap)
    writeComparison({ directory, bootstrap, processes: 2 })
    const first = readFileSync(join(directory, 'compare.json'), 'utf8')
    const timings = join(
      cellJob(directory, small, { recipe: 'grpo', seed: 1, easyShare: 0.5 }).directory,
      'timings.jsonl',
    )
    writeFileSync(timings, readFileSync(timings, 'utf8').replaceAll('"sampleSeconds":1', '"sampleSeconds":9'))
    writeComparison({ directory, bootstrap, processes: 1 })
    expect(readFileSync(join(directory, 'compare.json'), 'utf8')).toBe(first)
    expect(first).not.toContain('econds')
    expect(readJson(join(directory, 'compare-times.json'))).toMatchObject({ processes: 1 })
  })
})
