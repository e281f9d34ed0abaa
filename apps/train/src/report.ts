/** report.html of a run: curves, before/after table, a few trajectories. One file, no script, no network. Not here: how charts and trajectories are drawn. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { intervalNote, type TableRow } from '@axpo/eval'
import { type RawImage, readTrajectories, type Trajectory, usesTool } from '@axpo/trajectory'
import { escapeHtml, lineChart, type Series, seriesColors } from './chart.ts'
import { type ShownTrajectory, trajectoryHtml } from './report-trajectory.ts'
import type { StepMetrics } from './rl-step.ts'
import type { RunConfig } from './train.ts'

export interface ReportRun {
  readonly directory: string
  /** The recipe's name. */
  readonly label: string
  readonly config: RunConfig
  readonly metrics: readonly StepMetrics[]
  readonly before: readonly TableRow[]
  readonly after: readonly TableRow[]
}

const charts: readonly (readonly [string, (m: StepMetrics) => number | null, (readonly [number, number])?])[] = [
  ['Reward (mean over rollouts)', (m) => m.reward, [0, 1]],
  ['Tool-use rate', (m) => m.toolUseRate, [0, 1]],
  ['All-wrong rate of tool-using subgroups', (m) => m.allWrongToolRate, [0, 1]],
  ['Recovery rate of resampled prefixes', (m) => m.recoveryRate, [0, 1]],
  ['Right when a tool was tried', (m) => m.accuracyWithTool, [0, 1]],
  ['Right when no tool was tried', (m) => m.accuracyWithoutTool, [0, 1]],
  ['Entropy of tool calls (nats)', (m) => m.entropyActNats],
  ['KL to the SFT model (nats a token)', (m) => m.klNats],
]

/** Steps of the moving mean in the charts. */
const smooth = 7

function chartsHtml(runs: readonly ReportRun[]): string {
  const lastStep = Math.max(2, ...runs.map((r) => r.metrics.length))
  return charts
    .map(([title, value, range]) => {
      const series: Series[] = runs.map((run, i) => ({
        label: run.label,
        color: seriesColors[i % seriesColors.length]!,
        points: run.metrics.map((m) => ({ x: m.step, y: value(m) })),
      }))
      return lineChart(series, { title, xLabel: 'step', domain: [1, lastStep], smooth, ...(range ? { range } : {}) })
    })
    .join('\n')
}

const percent = (v: number | null): string => (v === null ? '-' : (100 * v).toFixed(1))

function tableHtml(runs: readonly ReportRun[]): string {
  const rows = [...runs[0]!.before, ...runs.flatMap((r) => r.after)].map(({ label, summary: s }) => {
    const interval = (v: typeof s.passAt4) =>
      v === null ? '-' : `${percent(v.mean)} <small>[${percent(v.low)}, ${percent(v.high)}]</small>`
    const cells = [
      interval(s.passAt1),
      interval(s.passAt4),
      percent(s.toolUseRate),
      percent(s.allWrongRate),
      percent(s.accuracyWithTool),
      percent(s.accuracyWithoutTool),
      `${s.questions} x ${s.samplesPerQuestion}`,
    ]
    return `<tr${s.name === 'all' ? ' class="all"' : ''}><td>${escapeHtml(label)}</td><td>${escapeHtml(s.name)}</td>${cells.map((c) => `<td class="n">${c}</td>`).join('')}</tr>`
  })
  const head = [
    '',
    'family',
    'Pass@1',
    'Pass@4',
    'tool use',
    'all wrong',
    'right | tool',
    'right | no tool',
    'questions',
  ]
  return `<table><tr>${head.map((h) => `<th>${h}</th>`).join('')}</tr>${rows.join('')}</table>`
}

interface Collected {
  readonly trajectories: Trajectory[]
  readonly images: Map<string, RawImage>
}

/** All trajectories and images of a file. */
async function collect(path: string): Promise<Collected> {
  const found: Collected = { trajectories: [], images: new Map() }
  for await (const record of readTrajectories(path)) {
    if (record.kind === 'image') found.images.set(record.sha256, record.image)
    if (record.kind === 'trajectory') found.trajectories.push(record.trajectory)
  }
  return found
}

/** Sources with a right continuation: the last of each family. */
function recoveredForks({ trajectories }: Collected): ShownTrajectory[] {
  const byParent = Map.groupBy(
    trajectories.filter((t) => t.parent),
    (t) => t.parent!.id,
  )
  const shown = new Map<string, ShownTrajectory>()
  for (const t of trajectories) {
    const forks = byParent.get(t.id)
    if (forks?.some((f) => f.reward === 1))
      shown.set(t.family, { title: `${t.family}: recovered at step ${t.step + 1}`, trajectory: t, forks })
  }
  return [...shown.values()]
}

/** A right rollout with a tool of each family, and one wrong one. */
function evaluated({ trajectories }: Collected): ShownTrajectory[] {
  const families = [...new Set(trajectories.map((t) => t.family))]
  const right = families.flatMap((f) => {
    const t = trajectories.find((x) => x.family === f && x.reward === 1 && usesTool(x))
    return t ? [{ title: `${f}: after training`, trajectory: t, forks: [] }] : []
  })
  const wrong = trajectories.find((t) => t.reward === 0)
  return wrong ? [...right, { title: `${wrong.family}: still wrong`, trajectory: wrong, forks: [] }] : right
}

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:13px}td,th{padding:3px 9px;border-bottom:1px solid #ddd;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}tr.all td{font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:12px}section{border:1px solid #ddd;border-radius:6px;padding:8px 14px;margin:12px 0}
.segment{margin:4px 0;padding:3px 8px;border-left:4px solid #bbb;overflow-wrap:anywhere}.think{border-color:#0072b2}.act{border-color:#d55e00}.observe{border-color:#009e73}.answer{border-color:#cc79a7}.failure{border-color:#c00}
.segment img{display:block;image-rendering:pixelated;margin:4px 0}.right{color:#087f5b;font-weight:600}.wrong{color:#c92a2a;font-weight:600}.forks{display:grid;grid-template-columns:1fr 1fr;gap:8px}.fork{border:1px dashed #aaa;padding:6px}code{white-space:pre-wrap;font-size:12px}small{color:#777;font-weight:400}`

/** `decode`: token ids to text. The first run is the report's own; the others stand beside it. */
export async function writeReport(
  path: string,
  runs: readonly ReportRun[],
  decode: (tokens: ArrayLike<number>) => string,
): Promise<void> {
  const run = runs[0]!
  const { settings, device, checkpointSha256 } = run.config
  const training = await collect(join(run.directory, 'trajectories.msgpack'))
  const after = await collect(join(run.directory, 'evaluations', 'after.msgpack'))
  const section = (shown: readonly ShownTrajectory[], images: Collected['images']) =>
    shown.map((s) => trajectoryHtml(s, { images, decode })).join('\n')
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>AXPO run: ${escapeHtml(run.label)}</title><style>${style}</style>
<h1>${escapeHtml(run.label)}: ${run.metrics.length} steps</h1>
<p>Device ${device}, seed ${settings.seed}, ${settings.questions} questions x ${settings.recipe.rollouts} rollouts a step, share of items solvable without a tool ${settings.easyShare}, learning rate ${settings.learningRate}. Started from weights <code>${checkpointSha256.slice(0, 12)}</code>.</p>
<h2>Before and after</h2>${tableHtml(runs)}
<p><small>${escapeHtml(intervalNote([...runs[0]!.before, ...runs.flatMap((r) => r.after)]))} All wrong: questions whose tool-using rollouts are all wrong.</small></p>
<h2>Training</h2><p class="note">Pale: each step. Bold: mean of what was measured in the last ${smooth} steps.</p><div class="charts">${chartsHtml(runs)}</div>
<h2>Recovered prefixes</h2><p>The tool-using rollouts of the question were all wrong; the thinking was kept and the call resampled.</p>${section(recoveredForks(training), training.images) || '<p>None in this run.</p>'}
<h2>Evaluation trajectories</h2>${section(evaluated(after), after.images)}
</html>
`
  writeFileSync(`${path}.part`, html)
  renameSync(`${path}.part`, path)
}
