/**
 * The evidence for the method, by one command: `npm run evidence`. A list of comparisons, each a call of `axpo compare` with fixed settings; with --write their tables, figures and numbers go to
 * results/evidence. What is done already is gone on with. Not here: what a comparison does (apps/train).
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { recipes } from '../packages/policy/src/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

export interface Comparison {
  readonly name: string
  readonly flags: readonly string[]
}

/** With one update a step these surrogates differ from GRPO's in nothing but their clips, which then never act. */
const miniBatches = ['grpo', 'cispo', 'gspo'].map((name) => `benchmarks/recipes/${name}-4.json`)

/** Seeds of the map (1, 2) chose the settings; all others are fresh. */
export const comparisons: readonly Comparison[] = [
  { name: 'map', flags: ['--recipes', 'grpo,axpo', '--s', '0,.2,.38,.5,.6', '--seeds', '2'] },
  {
    name: 'headline',
    flags: [
      ...['--recipes', 'grpo,axpo', '--s', '.38,.2,0', '--seeds', '8', '--first-seed', '101'],
      ...['--equal-rollouts', '--unseen-questions', '60'],
    ],
  },
  {
    name: 'elements',
    flags: [
      ...['--recipes', 'grpo,axpo', '--seeds', '8', '--first-seed', '101', '--equal-rollouts'],
      ...['--tasks', 'packages/tasks/data/elements.jsonl', '--checkpoint', 'apps/train/checkpoints/elements'],
    ],
  },
  {
    name: 'recipes',
    flags: ['--recipes', Object.keys(recipes).join(','), '--s', '.38', '--seeds', '6', '--first-seed', '201'],
  },
  {
    name: 'mini-batches',
    flags: ['--recipes', miniBatches.join(','), '--s', '.38', '--seeds', '6', '--first-seed', '201'],
  },
]

async function compare({ name, flags }: Comparison, out: string, more: readonly string[]): Promise<void> {
  const args = [
    join(root, 'apps/train/src/main.ts'),
    'compare',
    ...flags,
    '--device',
    'cpu',
    ...more,
    '--out',
    join(out, name),
  ]
  console.log(`npm run axpo -- ${args.slice(1).join(' ')}`)
  const child = spawn(process.execPath, [...process.execArgv, ...args], { cwd: root, stdio: 'inherit' })
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0)
    throw new Error(`evidence: the comparison ${name} must end well, got exit code ${code}. The same command goes on.`)
}

function commit(name: string, out: string): void {
  const to = join(root, 'benchmarks/results/evidence', name)
  mkdirSync(to, { recursive: true })
  for (const file of ['compare.md', 'compare.html', 'compare.json'])
    if (existsSync(join(out, name, file))) cpSync(join(out, name, file), join(to, file))
  console.log(`written: ${to}`)
}

export async function evidence(args: readonly string[]): Promise<void> {
  const names = comparisons.map((c) => c.name)
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: names.join(',') },
      out: { type: 'string', default: join(root, 'runs/evidence') },
      build: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  })
  const chosen = values.only.split(',')
  const unknown = chosen.find((name) => !names.includes(name))
  if (unknown !== undefined)
    throw new Error(`evidence: --only must be of ${names.join(', ')}, got "${unknown}". Correct it.`)
  for (const comparison of comparisons.filter((c) => chosen.includes(c.name))) {
    await compare(comparison, values.out, values.build ? ['--build', values.build] : [])
    if (values.write) commit(comparison.name, values.out)
  }
}

if (import.meta.main) await evidence(process.argv.slice(2))
