/** The tables of a comparison as rows of text, for Markdown, HTML and the terminal alike. Percent where a figure is a rate; every interval with what it rests on. */
import { holmAdjusted } from '@axpo/eval'
import { recipeDefaults, settingsOf } from '@axpo/policy'
import { difference, interval, percent, replicateCount, restsOn, seedCount } from './compare-format.ts'
import { evaluationThreshold } from './compare-plan.ts'
import type { Arm, CompareResult, Comparison, GroupResult, Metric, Score } from './compare-result.ts'
import { armSeconds, type CompareTimes } from './compare-times.ts'
import { diagnosticsTable, forkTable } from './compare-training-table.ts'
import { formatSeconds } from './progress.ts'

export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** What the figures are, and what the intervals rest on. */
  readonly note: string
}

const p = (v: number): string => (v < 0.001 ? v.toExponential(1) : v.toFixed(3))
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const thousands = (values: readonly number[]): string => Math.round(mean(values)).toLocaleString('en-US')

export function armName({ recipe, rolloutsOf }: Pick<Arm, 'recipe' | 'rolloutsOf'>): string {
  return rolloutsOf === null ? recipe : `${recipe}, rollouts of ${rolloutsOf}`
}

function level({ statistics }: CompareResult): string {
  return `${Number((100 * statistics.level).toFixed(2))} %`
}

function bootstrapNote(result: CompareResult): string {
  const { replicates, seed } = result.statistics
  return `${level(result)} percentile intervals of a bootstrap over seeds and questions within families (${replicateCount(replicates)}, bootstrap seed ${seed})`
}

export function scoreTable(result: CompareResult, group: GroupResult): Table {
  const row = (arm: Arm, area: Score | null) => [
    armName(arm),
    thousands(arm.steps),
    interval(arm.passAt1.mean),
    // of one run there is nothing to draw
    arm.interquartile.seeds > 1 ? interval(arm.interquartile) : percent(arm.interquartile.estimate),
    arm.passAt4 ? interval(arm.passAt4.mean) : '-',
    ...group.families.map((f) => interval(arm.passAt1.families[f]!)),
    area ? interval(area.mean) : '-',
    ...(group.start.unseen ? [arm.unseen ? interval(arm.unseen.mean) : '-'] : []),
    restsOn(arm.passAt1.mean),
  ]
  return {
    title: 'Scores on the test split',
    head: [
      'recipe',
      'steps',
      'Pass@1',
      'IQM',
      'Pass@4',
      ...group.families.map((f) => `Pass@1 ${f}`),
      'area',
      ...(group.start.unseen ? ['unseen tool'] : []),
      'intervals from',
    ],
    rows: [
      row(group.start, null),
      ...group.arms.map((arm) => row(arm, arm.rolloutsOf === null ? group.areas[arm.recipe]! : null)),
    ],
    note: `Percent. ${bootstrapNote(result)}. Means weigh families alike. IQM: interquartile mean of Pass@1 over runs, a score a family and seed, so that a quarter of them at each end does not count; its interval draws seeds only, each family for itself. Area: under Pass@1 on the validation questions over the steps, divided by the steps. SFT: the checkpoint all runs start from.${group.start.unseen ? ' Unseen tool: Pass@1 on the held-out family with a tool that no training prompt offers.' : ''}`,
  }
}

export function rateTable(result: CompareResult, group: GroupResult): Table {
  const row = (arm: Arm) => {
    const { toolUse, allWrong, rightWithTool, rightWithoutTool, gap } = arm.rates
    return [
      armName(arm),
      interval(toolUse),
      ...group.families.map((f) => interval(arm.ratesByFamily[f]!.toolUse)),
      interval(allWrong),
      interval(rightWithTool),
      interval(rightWithoutTool),
      gap ? difference(gap) : '-',
      restsOn(arm.passAt1.mean),
    ]
  }
  return {
    title: 'Tools on the test split',
    head: [
      'recipe',
      'tool use',
      ...group.families.map((f) => `tool use ${f}`),
      'all wrong',
      'right with tool',
      'right without',
      'with - without',
      'intervals from',
    ],
    rows: [group.start, ...group.arms].map(row),
    note: `Percent, over all rollouts of all seeds. All wrong: questions whose tool-using rollouts are all wrong, of those that have any. With - without: points, right with a tool minus right without, each question for itself, mean over questions tried both ways. ${bootstrapNote(result)}; a rate's base is drawn with it, and a replicate that drew none of it is left out.`,
  }
}

/** One table a metric: differences at equal steps and at equal rollouts. */
export function differenceTable(result: CompareResult, group: GroupResult, metric: Metric): Table | null {
  const found = group.comparisons.filter((c) => c.metric === metric)
  if (found.length === 0) return null
  const families = Object.keys(found[0]!.families)
  const { baseline } = found[0]!
  const recipes = new Set(found.map((c) => c.recipe)).size
  const holm = holmOf(found)
  const row = (c: Comparison, i: number) => [
    `${c.recipe} - ${c.baseline}`,
    c.at,
    difference(c.mean),
    ...(families.length > 1 ? families.map((f) => difference(c.families[f]!)) : []),
    p(c.mean.signFlipP),
    ...(recipes > 1 ? [p(holm[i]!)] : []),
    p(c.mean.p),
    interval(c.mean.improvement),
    `${seedCount(c.mean.improvement.seeds)} of each, ${replicateCount(c.mean.improvement.replicates)}`,
    restsOn(c.mean),
  ]
  return {
    title: `Difference to ${baseline}: ${metric}`,
    head: [
      'recipe',
      'at',
      'mean',
      ...(families.length > 1 ? families : []),
      'sign-flip p',
      ...(recipes > 1 ? ['Holm p'] : []),
      'bootstrap p',
      'P(better)',
      'P(better) from',
      'differences from',
    ],
    rows: found.map(row),
    note: differenceNote(result, group, baseline, recipes),
  }
}

/** Sign-flip p-values adjusted for the recipes that are compared at the same point, in the order of the comparisons. */
function holmOf(found: readonly Comparison[]): number[] {
  const adjusted = new Map<Comparison, number>()
  for (const at of new Set(found.map((c) => c.at))) {
    const same = found.filter((c) => c.at === at)
    for (const [i, value] of holmAdjusted(same.map((c) => c.mean.signFlipP)).entries()) adjusted.set(same[i]!, value)
  }
  return found.map((c) => adjusted.get(c)!)
}

function differenceNote(result: CompareResult, group: GroupResult, baseline: string, recipes: number): string {
  const smallest = Math.min(1, 2 / 2 ** group.seeds.length)
  return [
    `Points. ${bootstrapNote(result)}, paired by seed and question.`,
    `Sign-flip p: exact, two-sided, over seeds; the smallest that ${seedCount(group.seeds.length)} can give is ${p(smallest)}.`,
    ...(recipes > 1
      ? [
          `Intervals, sign-flip p and bootstrap p are not corrected for the number of recipes. Holm p: sign-flip p so corrected (Holm 1979), over the recipes of this table, those at equal steps and those at equal rollouts each for themselves; the smallest that it can be over ${recipes} recipes is ${p(Math.min(1, recipes * smallest))}.`,
        ]
      : []),
    `P(better), percent: that a run scores higher than one of ${baseline}, mean over families; its interval is drawn over seeds only, not over questions.`,
  ].join(' ')
}

/** Sign-flip p-values and probabilities of each family; the mean stands in the table above it. */
export function familyTable(result: CompareResult, group: GroupResult): Table | null {
  const found = group.comparisons.filter((c) => c.metric === 'Pass@1' && Object.keys(c.families).length > 1)
  if (found.length === 0) return null
  return {
    title: 'Pass@1 family by family',
    head: ['recipe', 'at', 'family', 'difference', 'sign-flip p', 'P(better)', 'intervals from'],
    rows: found.flatMap((c) =>
      Object.entries(c.families).map(([family, e]) => [
        `${c.recipe} - ${c.baseline}`,
        c.at,
        family,
        difference(e),
        p(e.signFlipP),
        percent(e.improvement.estimate),
        restsOn(e),
      ]),
    ),
    note: `As above; ${level(result)} intervals and tests of one family each, without correction for their number.`,
  }
}

export function costTable(_: CompareResult, group: GroupResult, times: CompareTimes): Table {
  const baseline = group.arms[0]!
  return {
    title: 'Cost of training',
    head: ['recipe', 'steps', 'rollouts', 'rollouts / first', 'sampled tokens', 'training time', 'evaluation time'],
    rows: group.arms.map((arm) => {
      const seconds = armSeconds(times, group, arm)
      return [
        armName(arm),
        thousands(arm.steps),
        thousands(arm.rollouts),
        (mean(arm.rollouts) / mean(baseline.rollouts)).toFixed(2),
        thousands(arm.tokens),
        formatSeconds(seconds.train),
        formatSeconds(seconds.evaluate),
      ]
    }),
    note: `Means over ${group.seeds.length} seeds. Time: one process with one thread; ${times.processes} ran at once on this machine. The arms at equal rollouts are the same runs, gone on with; evaluation counts all that a run was evaluated.`,
  }
}

export function tablesOf(result: CompareResult, group: GroupResult, times: CompareTimes): Table[] {
  const metrics: Metric[] = ['Pass@1', 'Pass@4', 'area under Pass@1', 'Pass@1, unseen tool']
  return [
    scoreTable(result, group),
    ...metrics.map((m) => differenceTable(result, group, m)),
    familyTable(result, group),
    rateTable(result, group),
    forkTable(result, group),
    diagnosticsTable(result, group),
    costTable(result, group, times),
  ].filter((t) => t !== null)
}

/** All settings of s side by side. */
export function mapTable(result: CompareResult): Table | null {
  if (result.groups.length < 2) return null
  return {
    title: 'Map of settings',
    head: ['recipe', 's', 'Pass@1', 'Pass@4', 'tool use', 'all wrong', 'intervals from'],
    rows: result.groups.flatMap((group) =>
      [group.start, ...group.arms].map((arm) => [
        armName(arm),
        String(group.easyShare),
        interval(arm.passAt1.mean),
        arm.passAt4 ? interval(arm.passAt4.mean) : '-',
        interval(arm.rates.toolUse),
        interval(arm.rates.allWrong),
        restsOn(arm.passAt1.mean),
      ]),
    ),
    note: `Percent. s: share of items that need no tool. ${bootstrapNote(result)}.`,
  }
}

/** What stands above a group's tables: its setting of s, or the file that its questions come from. */
export function groupTitle({ plan }: CompareResult, group: GroupResult): string {
  const { length } = group.seeds
  const missing = group.unfinishedSeeds.length
  const of = missing > 0 ? ` of ${length + missing}; the others are not finished` : ''
  const name = plan.tasks ?? `s = ${group.easyShare}`
  return `${name} (${length} ${length === 1 ? 'seed' : 'seeds'}${of})`
}

/** The user's own recipes by what they set differently from the defaults; empty without one. */
function ownLine({ plan }: CompareResult): string {
  const own = (plan.ownRecipes ?? []).map((recipe) => {
    const changes = Object.entries(settingsOf(recipe)).filter(
      ([field, value]) => field !== 'name' && value !== recipeDefaults[field as keyof typeof recipeDefaults],
    )
    return `${recipe.name}: ${changes.map(([field, value]) => `${field} ${value}`).join(', ') || 'the defaults'}`
  })
  return own.length === 0 ? '' : ` Recipes of the user's own, by what differs from axpo: ${own.join('; ')}.`
}

/** What a seed decides. */
const questionsLine = (plan: CompareResult['plan']): string =>
  plan.tasks === undefined
    ? 'All runs train on the same questions in the same order; the seed decides what is sampled.'
    : 'Runs of one seed train on the same questions in the same order; the seed decides that order and what is sampled.'

/** Reward from which on a rollout is right; empty where only a full reward is. */
function thresholdLine({ plan }: CompareResult): string {
  const threshold = evaluationThreshold(plan)
  return threshold === 1 ? '' : ` A rollout is right from a reward of ${threshold} on.`
}

/** Questions that were answered: a file of the user's may have fewer than the plan asks for. */
function answered({ groups, plan }: CompareResult): { readonly test: number; readonly validation: number } {
  const group = groups[0]!
  return { test: group.start.passAt1.mean.questions, validation: group.areas[plan.baseline]!.mean.questions }
}

export function settingsLine(result: CompareResult): string {
  const { plan } = result
  const { test, validation } = answered(result)
  return `Recipes ${plan.recipes.join(', ')}; seeds ${plan.seeds.join(', ')}; ${plan.steps} steps of ${plan.questions} questions, learning rate ${plan.learningRate}; ${test} test questions at the end and ${validation} validation questions every ${plan.evalEvery} steps, ${plan.samples} rollouts each. Every run starts from weights ${plan.checkpointSha256.slice(0, 12)}. ${questionsLine(plan)}${thresholdLine(result)}${ownLine(result)}`
}
