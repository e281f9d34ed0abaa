/** `axpo compare`: flags in, tables and figures out. Not here: the comparison (compare.ts). */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import {
  buildOption,
  type DeviceName,
  defaultBootstrap,
  deviceOption,
  integer,
  largestSamples,
  largestSeed,
  openUserFiles,
  positive,
  tasksOption,
  toolsOption,
} from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { type Recipe, recipes } from '@axpo/policy'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { recipeArgument } from './command-train.ts'
import { compare, writeComparison } from './compare.ts'
import { type ComparePlan, headlineEasyShare, headlineFirstSeed, rolloutsAStep } from './compare-plan.ts'
import { isNamed } from './recipe-file.ts'

interface Flags {
  readonly recipes: readonly Recipe[]
  readonly baseline?: Recipe
  readonly seeds: number
  readonly firstSeed: number
  readonly suite: 'gapworld'
  readonly easyShare: readonly number[]
  readonly tasks?: string
  readonly tools?: string
  readonly steps: number
  readonly questions: number
  readonly learningRate: number
  readonly evalEvery: number
  readonly evalQuestions: number
  readonly validationQuestions: number
  readonly unseenQuestions: number
  readonly samples: number
  readonly equalRollouts: boolean
  readonly checkpoint: string
  readonly device: DeviceName
  readonly build?: CpuBuild
  readonly jobs: number
  readonly keepTrajectories: boolean
  readonly replicates: number
  readonly out: string
  readonly from?: string
}

const recipeList = (value: string): Recipe[] => value.split(',').map((name) => recipeArgument(name.trim()))

function shareList(value: string): number[] {
  return value.split(',').map((text) => {
    const share = Number(text)
    if (!(share >= 0 && share <= 1) || text.trim() === '')
      throw new InvalidArgumentError('Give numbers from 0 to 1, separated by commas.')
    return share
  })
}

function suiteName(value: string): 'gapworld' {
  if (value !== 'gapworld') throw new InvalidArgumentError('Choose: gapworld.')
  return value
}

/** The exact sign-flip test lists 2^S signs. */
const mostSeeds = 20

function seedCount(value: string): number {
  const count = integer(1)(value)
  if (count > mostSeeds)
    throw new InvalidArgumentError(`Give at most ${mostSeeds} (the exact test lists 2^seeds signs).`)
  return count
}

function sha256Of(checkpoint: string): string {
  const path = join(checkpoint, 'model.safetensors')
  if (!existsSync(path))
    throw new Error(
      `compare: --checkpoint needs a folder with model.safetensors, got none at ${path}. Make one with axpo sft, or leave --checkpoint out.`,
    )
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** At equal rollouts too, where that can be; whoever asks for it where it cannot is told by the plan's check. */
function equalRolloutsOf(flags: Flags, asked: boolean, baseline: Recipe): boolean {
  if (!flags.equalRollouts || asked || rolloutsAStep(baseline, flags) !== null) return flags.equalRollouts
  console.log(`at equal steps only: ${baseline.name} spends other rollouts in each step; --baseline grpo does not`)
  return false
}

/** `asked`: whether --equal-rollouts was given. */
async function planOf(flags: Flags, asked: boolean): Promise<ComparePlan> {
  const checkpoint = resolve(flags.checkpoint)
  const names = flags.recipes.map(({ name }) => name)
  const own = flags.recipes.filter((recipe) => !isNamed(recipe))
  const baseline = flags.baseline ?? flags.recipes.find(({ name }) => name === 'grpo') ?? flags.recipes[0]!
  return {
    formatVersion: 1,
    suite: flags.suite,
    ...(await openUserFiles(flags, ['train', 'validation', 'test'])),
    recipes: names,
    ...(own.length > 0 ? { ownRecipes: own } : {}),
    baseline: baseline.name,
    seeds: Array.from({ length: flags.seeds }, (_, i) => flags.firstSeed + i),
    easyShares: [...flags.easyShare],
    steps: flags.steps,
    questions: flags.questions,
    learningRate: flags.learningRate,
    evalEvery: flags.evalEvery,
    validationQuestions: flags.validationQuestions,
    evalQuestions: flags.evalQuestions,
    // the unseen tool is the suite's
    unseenQuestions: flags.tasks === undefined ? flags.unseenQuestions : 0,
    samples: flags.samples,
    equalRollouts: equalRolloutsOf(flags, asked, baseline),
    device: flags.device,
    checkpoint,
    checkpointSha256: sha256Of(checkpoint),
  }
}

async function run(flags: Flags, command: Command): Promise<void> {
  const directory = resolve(flags.from ?? flags.out)
  const bootstrap = { ...defaultBootstrap, replicates: flags.replicates }
  // cells killed by the terminal's Ctrl-C go on where they stood
  process.on('SIGINT', () => {
    console.error('\nstopped; the same command goes on from here')
    process.exit(130)
  })
  const processes = flags.jobs || (flags.device === 'cpu' ? availableParallelism() : 1)
  const asked = command.getOptionValueSource('equalRollouts') === 'cli'
  const { text, name } =
    flags.from === undefined
      ? await compare({
          directory,
          plan: await planOf(flags, asked),
          processes,
          keepTrajectories: flags.keepTrajectories,
          ...(flags.build ? { build: flags.build } : {}),
          bootstrap,
        })
      : writeComparison({
          directory,
          bootstrap,
          ...(flags.baseline ? { baseline: flags.baseline.name } : {}),
        })
  console.log(`${text}\n\nwritten: ${relative('.', directory) || '.'}/${name}.{json,md,html}`)
}

/** `checkpoint`: the one that comes with the project. */
export function addCompareCommand(program: Command, checkpoint: string): void {
  program
    .command('compare')
    .description('recipe x seed from one checkpoint: scores, differences with intervals and tests, curves, cost')
    .addOption(
      new Option(
        '--recipes <list>',
        `comma-separated, of ${Object.keys(recipes).join(', ')}; and JSON files (docs/your-own-recipe.md)`,
      )
        .argParser(recipeList)
        .default([recipes.grpo, recipes.axpo], 'grpo,axpo'),
    )
    .addOption(tasksOption())
    .addOption(toolsOption())
    .option(
      '--baseline <recipe>',
      'what the others are compared with (default: grpo, or the first); beside --from, another one of them',
      recipeArgument,
    )
    .option('--seeds <n>', 'runs of each recipe', seedCount, 8)
    .option('--first-seed <n>', 'seeds are this one and those after it', integer(0, largestSeed), headlineFirstSeed)
    .option('--suite <name>', 'gapworld', suiteName, 'gapworld' as const)
    .option('--s, --easy-share <list>', 'share of items that need no tool; several make a map', shareList, [
      headlineEasyShare,
    ])
    .option('--steps <n>', 'steps: batches sampled and learnt from', integer(1), 100)
    .option('--questions <n>', 'questions a step', integer(1), 16)
    .option('--learning-rate <rate>', 'of AdamW', positive, 4e-4)
    .option('--eval-every <n>', 'steps between validations', integer(1), 20)
    .option('--eval-questions <n>', 'test questions, before and at the end', integer(1), 258)
    .option('--validation-questions <n>', 'validation questions', integer(1), 48)
    .option('--unseen-questions <n>', 'test questions of the held-out family with its unseen tool', integer(0), 0)
    .option('--samples <n>', 'rollouts a question in evaluations', integer(1, largestSamples), 8)
    .option('--equal-rollouts', 'the baseline goes on until it has spent the rollouts of each other recipe', true)
    .option('--no-equal-rollouts', 'at equal steps only')
    .option('--checkpoint <folder>', 'where every run starts', checkpoint)
    .addOption(deviceOption().default('cpu'))
    .addOption(buildOption())
    .option('--jobs <n>', 'runs at once, one thread each; 0: as many as the machine has cores', integer(0), 0)
    .option('--keep-trajectories', 'keep every rollout (about 1 MB a step and run)', false)
    .option('--replicates <n>', 'of every bootstrap', integer(100, 1_000_000), defaultBootstrap.replicates)
    .option('--out <folder>', 'what is there already is gone on with', 'runs/compare')
    .option('--from <folder>', 'only compute tables and figures again from what is there')
    .action(run)
}
