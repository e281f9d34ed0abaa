/**
 * The evidence for the method, by one command: `npm run evidence`. A list of comparisons, each a call of `axpo compare` with fixed settings; with --write their tables, figures and numbers go to
 * results/evidence, each with the command, commit and machine it was made with. What is done already is gone on with. Not here: what a comparison does (apps/train).
 */
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { headlineEasyShare, headlineFirstSeed } from '../apps/train/src/compare-plan.ts'
import type { RecipeName } from '../packages/policy/src/index.ts'
import { headlineFigures, pictureOf } from './evidence-figure.ts'
import { commit, describeMachine } from './report.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

export interface Comparison {
  readonly name: string
  /** For people: what it is to show. */
  readonly about: string
  readonly flags: readonly string[]
  /** Also compared with this recipe, beside the first. */
  readonly against?: string
}

/** At the headline setting, at equal steps. */
const sixSeeds = (recipes: readonly string[], firstSeed: number): readonly string[] => [
  ...['--recipes', recipes.join(','), '--s', `${headlineEasyShare}`],
  ...['--seeds', '6', '--first-seed', `${firstSeed}`, '--no-equal-rollouts'],
]

/** With one update a step these surrogates differ from GRPO's in nothing but their clips, which then never act. */
const miniBatches = ['grpo', 'cispo', 'gspo', 'axpo'].map((name) => `benchmarks/recipes/${name}-4.json`)

/** Two prefixes a step instead of eight. */
const quarterBudget = ['axpo', 'axpo-random', 'axpo-entropy'].map((name) => `benchmarks/recipes/${name}-quarter.json`)

/** The paper's own (its sections 4 and 5), but for text feedback: packages/policy/README.md. */
const paperRecipes: readonly RecipeName[] = [
  ...(['axpo', 'grpo', 'grpo-tool-bonus', 'grpo-tool-penalty', 'grpo-2x', 'cispo', 'arpo'] as const),
  ...(['axpo-scratch', 'axpo-no-tool-too', 'axpo-random', 'axpo-no-credit', 'axpo-joint'] as const),
]

/** Named one by one: a new recipe does not change what these runs were. */
const otherRecipes: readonly RecipeName[] = [
  'dr-grpo',
  'gspo',
  'grpo-dynamic',
  'axpo-entropy',
  'axpo-any-call',
  'axpo-adaptive',
]

/** Seeds of the map (1, 2) chose the settings; all others are fresh, but for those two in `again`. */
export const comparisons: readonly Comparison[] = [
  {
    name: 'map',
    about:
      's, the share of questions that need no tool, from 0 to 0.6: where GRPO loses its tools and where it does not. Two calibration seeds: made to choose the setting of the headline before any of its seeds was run; no evidence of a difference.',
    flags: [
      ...['--recipes', 'grpo,axpo', '--s', '0,.2,.38,.5,.6', '--seeds', '2', '--first-seed', '1'],
      '--no-equal-rollouts',
    ],
  },
  {
    name: 'headline',
    about:
      'GRPO against AXPO at the headline setting over 20 fresh seeds, at equal steps and at equal rollouts (GRPO goes on until it has spent what AXPO did). With the held-out image search, offered in this evaluation only. Eight seeds (101 to 108) were run first; as further seeds elsewhere gave smaller differences, it was extended to 20, the most the exact test takes, and all of them count. `npm run axpo -- compare --recipes grpo,axpo --seeds 8` makes the first eight again.',
    flags: [
      ...['--recipes', 'grpo,axpo', '--s', `${headlineEasyShare}`, '--seeds', '20'],
      ...['--first-seed', `${headlineFirstSeed}`],
      ...['--equal-rollouts', '--unseen-questions', '60'],
    ],
  },
  {
    name: 'again',
    about:
      'The headline on other seeds: 1 to 8, of which 1 and 2 are the seeds of the map. Made to see whether it comes out again; its figures stand beside it, and are no part of it.',
    flags: ['--recipes', 'grpo,axpo', '--seeds', '8', '--first-seed', '1'],
  },
  {
    name: 'milder',
    about:
      'The same at a milder setting, and at s = 0 as a control without a gap, where no difference is expected; 8 fresh seeds each.',
    flags: [
      ...['--recipes', 'grpo,axpo', '--s', '.2,0', '--seeds', '8', '--first-seed', '101'],
      ...['--equal-rollouts', '--unseen-questions', '60'],
    ],
  },
  {
    name: 'elements',
    about:
      'The second ground: questions about the chemical elements from a JSONL file, text only, half of the facts known by heart from fine-tuning; another checkpoint. GRPO against AXPO over 8 fresh seeds. The 88 test questions are about 63 elements; intervals count them as independent.',
    flags: [
      ...['--recipes', 'grpo,axpo', '--s', '.5', '--seeds', '8', '--first-seed', '101', '--equal-rollouts'],
      ...['--tasks', 'packages/tasks/data/elements.jsonl', '--checkpoint', 'apps/train/checkpoints/elements'],
    ],
  },
  {
    name: 'recipes',
    about:
      "The paper's recipes and ablations at the headline setting over 6 fresh seeds, compared with GRPO (compare.md) and with AXPO (compare-to-axpo.md). With one update a step cispo differs from grpo in aggregation and KL only: see mini-batches.",
    flags: sixSeeds(paperRecipes, 201),
    against: 'axpo',
  },
  {
    name: 'options',
    about:
      'What users expect beside the paper, and what goes beyond it, at the headline setting over 6 fresh seeds, compared with GRPO (compare.md) and with AXPO (compare-to-axpo.md). Left out: axpo-graded, the same as axpo to the bit where rewards are 0 and 1, whose ground is the toy world.',
    flags: sixSeeds(['axpo', 'grpo', ...otherRecipes], 301),
    against: 'axpo',
  },
  {
    name: 'mini-batches',
    about:
      'GRPO, CISPO, GSPO and AXPO with four updates a step at the learning rate of one: only then does the ratio leave 1, so that clips and surrogates act. 6 seeds, those of the table of recipes.',
    flags: sixSeeds(miniBatches, 201),
  },
  {
    name: 'budget',
    about:
      'The three rankings with a quarter of the budget: two prefixes a step, so that most candidates are left out and the ranking decides which. 6 seeds, those of the table of recipes, where the budget is eight prefixes and seldom full.',
    flags: sixSeeds(quarterBudget, 201),
  },
]

/** How a folder's runs were made, kept beside them. */
interface Origin {
  readonly command: string
  /** More than one where it was gone on with by another version. */
  readonly commits: readonly string[]
  readonly machine: ReturnType<typeof describeMachine>
  readonly began: string
}

const originFile = 'evidence.json'

const spoken = (args: readonly string[]): string => `npm run axpo -- ${args.join(' ')}`

async function axpo(args: readonly string[]): Promise<void> {
  console.log(spoken(args))
  const main = join(root, 'apps/train/src/main.ts')
  const child = spawn(process.execPath, [...process.execArgv, main, ...args], { cwd: root, stdio: 'inherit' })
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0)
    throw new Error(`evidence: axpo ${args[0]} must end well, got exit code ${code}. The same command goes on.`)
}

const evaluationCount = (folder: string): number => globSync('cells/**/evaluations/*.json', { cwd: folder }).length

/** Runs what is missing, and notes how. A version that found nothing to run made none of the runs. */
async function run(folder: string, call: readonly string[]): Promise<void> {
  const path = join(folder, originFile)
  const before = existsSync(path) ? readFileSync(path, 'utf8') : null
  const had = evaluationCount(folder)
  noteOrigin(path, spoken(call))
  await axpo([...call, '--out', folder])
  if (before !== null && evaluationCount(folder) === had) writeFileSync(path, before)
}

function noteOrigin(path: string, command: string): void {
  const now = commit()
  const old = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Origin) : null
  const commits = [...new Set([...(old?.commits ?? []), now])]
  const machine = old?.machine ?? describeMachine()
  const began = old?.began ?? new Date().toISOString().slice(0, 10)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify({ command, commits, machine, began } satisfies Origin, null, 2)}\n`)
}

/** Hours that one process would have needed. */
function cellHours(folder: string): number {
  const { cells } = JSON.parse(readFileSync(join(folder, 'compare-times.json'), 'utf8')) as {
    cells: { trainSeconds: number[]; evaluateSeconds: number }[]
  }
  return cells.reduce((n, c) => n + c.evaluateSeconds + c.trainSeconds.reduce((a, b) => a + b, 0), 0) / 3600
}

function readme({ name, about, against }: Comparison, folder: string, tablesBy: string): string {
  const { command, commits, machine, began } = JSON.parse(readFileSync(join(folder, originFile), 'utf8')) as Origin
  const { cpu, memoryGiB, system, node } = machine
  const other = against
    ? ` [compare-to-${against}.md](compare-to-${against}.md): the tables with ${against} as the baseline.`
    : ''
  return `# Evidence: ${name}

${about}

[compare.md](compare.md): tables; compare.html: the same with figures; compare.json: the numbers.${other}

\`\`\`
npm run evidence -- --only ${name} --write
\`\`\`

These runs: \`${command}\`. The same seeds and version give the same figures, wall times aside.

Runs by commit ${commits.join(', then ')}, tables by ${tablesBy}; begun ${began}; ${cpu}, ${memoryGiB} GiB, ${system}, Node ${node}; ${cellHours(folder).toFixed(1)} hours of one core.
`
}

/** Results travel: tables, figures and numbers, no runs; of the second baseline the tables, whose numbers and curves are the same runs'. */
function write(comparison: Comparison, folder: string, tablesBy: string): void {
  const to = join(root, 'benchmarks/results/evidence', comparison.name)
  mkdirSync(to, { recursive: true })
  for (const file of readdirSync(folder))
    if (/^compare(\.(md|html|json)|-to-.+\.md)$/.test(file)) copyFileSync(join(folder, file), join(to, file))
  writeFileSync(join(to, 'README.md'), readme(comparison, folder, tablesBy))
  if (comparison.name === 'headline')
    writeFileSync(
      join(root, 'docs/evidence.svg'),
      pictureOf(readFileSync(join(folder, 'compare.html'), 'utf8'), headlineFigures),
    )
  console.log(`written: ${to}`)
}

const usage = `npm run evidence -- [--only ${comparisons.map((c) => c.name).join(',')}] [--out FOLDER] [--build plain|fma|wide] [--read] [--write]
  --out    where the runs are; default runs/evidence. What is there is gone on with
  --build  of the CPU kernels; wide is the fastest, with the bits of fma
  --read   no runs: tables of what is finished
  --write  tables, figures and numbers to benchmarks/results/evidence; of the headline also docs/evidence.svg`

export async function evidence(args: readonly string[]): Promise<void> {
  const names = comparisons.map((c) => c.name)
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: names.join(',') },
      out: { type: 'string', default: join(root, 'runs/evidence') },
      build: { type: 'string' },
      read: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  // before anything is written into the tree, which would count as a change of it
  const version = commit()
  const chosen = values.only.split(',')
  const unknown = chosen.find((name) => !names.includes(name))
  if (unknown !== undefined)
    throw new Error(`evidence: --only must be of ${names.join(', ')}, got "${unknown}". Correct it.`)
  for (const comparison of comparisons.filter((c) => chosen.includes(c.name))) {
    const { name, flags, against } = comparison
    const folder = join(values.out, name)
    const call = ['compare', ...flags, '--device', 'cpu', ...(values.build ? ['--build', values.build] : [])]
    await (values.read ? axpo(['compare', '--from', folder]) : run(folder, call))
    if (against) await axpo(['compare', '--from', folder, '--baseline', against])
    if (values.write) write(comparison, folder, version)
  }
}

if (import.meta.main) await evidence(process.argv.slice(2))
