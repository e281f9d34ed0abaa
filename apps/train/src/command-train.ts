/** `axpo start`, `axpo train` and `axpo report`: flags in, a run out. Not here: the job (start.ts). */

import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import {
  buildOption,
  type DeviceName,
  defaultEvaluation,
  deviceOption,
  easyShareOption,
  integer,
  openUserFiles,
  positive,
  seedOption,
  tasksOption,
  threadsOption,
  toolsOption,
} from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { type Recipe, recipes, settingsOf } from '@axpo/policy'
import type { Split } from '@axpo/tasks'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { loadRecipe } from './recipe-file.ts'
import { reportOf } from './run-report.ts'
import { fullSizes, mainJob, type NewRun, softwareSizes } from './start.ts'
import { rlSettings } from './train.ts'

interface Flags {
  readonly recipe: Recipe
  readonly device: DeviceName
  readonly threads: number
  readonly build?: CpuBuild
  readonly checkpoint: string
  readonly steps?: number
  readonly questions?: number
  readonly easyShare: number
  readonly seed: number
  readonly learningRate: number
  readonly checkpointEvery: number
  readonly out?: string
  readonly resume?: string
  readonly evaluate: boolean
  readonly evalQuestions?: number
  readonly tasks?: string
  readonly tools?: string
}

export function recipeArgument(value: string): Recipe {
  try {
    return loadRecipe(value)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

/** runs/NAME, or runs/NAME-2 and so on where that is taken. */
function freeDirectory(name: string): string {
  for (let n = 1; ; n++) {
    const directory = resolve('runs', n === 1 ? name : `${name}-${n}`)
    if (!existsSync(directory)) return directory
  }
}

/** First Ctrl-C: end after this step. Second: at once. */
function watchInterrupt(): () => boolean {
  let asked = false
  process.on('SIGINT', () => {
    if (asked) process.exit(130)
    asked = true
    console.error('\nending after this step; once more to stop at once (the last checkpoint stays)')
  })
  return () => asked
}

function addFlags(command: Command, checkpoint: string): Command {
  return command
    .addOption(
      new Option(
        '--recipe <name or file>',
        `${Object.keys(recipes).join(', ')}; or a JSON file (docs/your-own-recipe.md)`,
      )
        .argParser(recipeArgument)
        .default(recipes.axpo, 'axpo'),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(buildOption())
    .option('--checkpoint <folder>', 'where training starts, and the reference of the KL term', checkpoint)
    .option(
      '--steps <n>',
      `steps: batches sampled and learnt from (default: ${fullSizes.steps}; ${softwareSizes.steps} on a software adapter)`,
      integer(1),
    )
    .addOption(easyShareOption())
    .addOption(seedOption())
    .option(
      '--questions <n>',
      `questions a step, 8 rollouts each (default: ${fullSizes.questions}; ${softwareSizes.questions} on a software adapter)`,
      integer(1),
    )
    .addOption(tasksOption())
    .addOption(toolsOption())
    .option('--learning-rate <rate>', 'of AdamW', positive, 4e-4)
    .option('--checkpoint-every <n>', 'steps between checkpoints', integer(1), 10)
    .option('--out <folder>', 'run folder (default: a new one under runs/)')
    .option('--resume <folder>', 'go on with this run, with the settings it has')
    .option(
      '--eval-questions <n>',
      `test questions before and after (default: ${fullSizes.evaluationQuestions}; ${softwareSizes.evaluationQuestions} on a software adapter)`,
      integer(1),
    )
}

/** Flags that mean something beside --resume; a run's settings stand in its folder. */
const resumeFlags = new Set(['resume', 'threads', 'device', 'build'])

function checkResume(command: Command): void {
  const others = command.options.filter(
    (option) =>
      command.getOptionValueSource(option.attributeName()) === 'cli' && !resumeFlags.has(option.attributeName()),
  )
  if (others.length > 0)
    throw new Error(
      `train: --resume takes the run's own settings, got ${others.map((option) => option.long).join(', ')} beside it. Leave these out, or start a new run.`,
    )
}

async function newRunOf(flags: Flags): Promise<NewRun> {
  const { recipe, steps, questions, evalQuestions, easyShare, seed, learningRate } = flags
  const splits: Split[] = flags.evaluate ? ['train', defaultEvaluation.split] : ['train']
  const own = await openUserFiles(flags, splits)
  const { rewardThreshold } = settingsOf(recipe)
  return {
    checkpoint: resolve(flags.checkpoint),
    settings: rlSettings(recipe, { easyShare, seed, learningRate, ...own }),
    checkpointEvery: flags.checkpointEvery,
    evaluation: flags.evaluate
      ? { ...defaultEvaluation, easyShare, ...own, ...(rewardThreshold === 1 ? {} : { rewardThreshold }) }
      : null,
    sizes: {
      ...(steps === undefined ? {} : { steps }),
      ...(questions === undefined ? {} : { questions }),
      ...(evalQuestions === undefined ? {} : { evaluationQuestions: evalQuestions }),
    },
  }
}

async function run(flags: Flags, command: Command): Promise<void> {
  const { threads, build, resume, out, recipe } = flags
  const asked = command.getOptionValueSource('device') === 'cli'
  if (resume !== undefined) checkResume(command)
  const finished = await mainJob({
    device: asked ? flags.device : null,
    threads,
    ...(build ? { build } : {}),
    directory: resume !== undefined ? resolve(resume) : out ? resolve(out) : freeDirectory(recipe.name),
    newRun: resume !== undefined ? null : await newRunOf(flags),
    stop: watchInterrupt(),
  })
  if (!finished) process.exitCode = 130
}

export function addTrainCommands(program: Command, checkpoint: string): void {
  addFlags(
    program.command('start').description('the main job: evaluate, train with AXPO, evaluate again'),
    checkpoint,
  ).action((flags: Flags, command: Command) => run({ ...flags, evaluate: true }, command))
  addFlags(program.command('train').description('train with a recipe into a run folder'), checkpoint)
    .option('--evaluate', 'evaluate before and after, and write the report', false)
    .action(run)
  program
    .command('report')
    .description("table and report.html of a finished run, together with the other recipes' runs beside it")
    .argument('<folder>', 'run folder')
    .action(async (folder: string) => {
      const { table, path } = await reportOf(resolve(folder))
      console.log(`${table}\n\nreport: ${relative('.', path)}`)
    })
}
