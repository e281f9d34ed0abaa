/** `axpo eval` and `axpo suite calibrate`: flags in, figures out. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { defaultLimits, type RolloutSetting } from '@axpo/agent'
import type { CpuBuild } from '@axpo/kernels'
import type { Split } from '@axpo/tasks'
import type { RawImage, Trajectory } from '@axpo/trajectory'
import type { Command } from 'commander'
import { calibrationRows, formatCalibration } from './calibrate.ts'
import { countByQuestion, type EvaluationPlan, evaluate, evaluationTasks } from './evaluate.ts'
import { checkNewFile, type EvaluationFile, loadEvaluations, saveEvaluation } from './evaluation-file.ts'
import {
  buildOption,
  type DeviceName,
  deviceOption,
  easyShareOption,
  familiesOption,
  integer,
  largestQuestions,
  largestSamples,
  seedOption,
  splitOption,
  tasksOption,
  threadsOption,
  threshold,
  toolsOption,
} from './options.ts'
import { agentPorts, openPython, openSession, type Session, suiteRegistry } from './session.ts'
import { summariseByFamily } from './statistics.ts'
import { formatTable, type TableRow } from './table.ts'
import { openUserFiles } from './user-files.ts'
import { addToolCommand } from './user-task-tool-command.ts'
import { openUserTools } from './user-task-tools.ts'

/** What the commands need from the app that hosts them. */
export interface CommandHost {
  /** The checkpoint that comes with the project. */
  readonly checkpoint: string
  readonly progress: (label: string, total: number, unit: string) => { update(done: number): void; end(): void }
}

interface Flags extends EvaluationPlan {
  readonly checkpoint: string
  readonly device: DeviceName
  readonly threads: number
  readonly build?: CpuBuild
}

/** `python`: whether a question may call it; its interpreter is started beforehand, so that no call waits for it. */
async function withSession<T>(
  flags: Flags,
  plan: EvaluationPlan,
  python: boolean,
  use: (session: Session, agent: RolloutSetting) => Promise<T>,
): Promise<T> {
  await using opened = new AsyncDisposableStack()
  const own = await openUserTools(plan)
  opened.defer(() => own.dispose())
  const session = await openSession(flags)
  opened.defer(() => session.close())
  const interpreter = openPython()
  opened.defer(() => interpreter.dispose())
  console.log(`device: ${session.device}`)
  await session.model.load(flags.checkpoint)
  if (python) await interpreter.warm()
  const tools = suiteRegistry(interpreter, own.tools)
  const setting = { ...agentPorts(session), tools, temperature: 1, limits: defaultLimits }
  return await use(session, { ...setting, images: new Map() })
}

async function planOf(flags: Flags): Promise<EvaluationPlan> {
  const { split, questions, samples, easyShare, seed, families, tasks, tools, rewardThreshold } = flags
  return {
    split,
    questions,
    samples,
    easyShare,
    seed,
    families,
    ...(await openUserFiles({ tasks, tools }, [split])),
    ...(rewardThreshold === undefined ? {} : { rewardThreshold }),
  }
}

interface Played {
  readonly trajectories: readonly Trajectory[]
  readonly images: ReadonlyMap<string, RawImage>
  /** Header of a file of them. */
  readonly meta: Readonly<Record<string, unknown>>
}

async function run(flags: Flags, host: CommandHost): Promise<Played> {
  const plan = await planOf(flags)
  // before the model is loaded: a mistake in a task file is told at once
  const tasks = await evaluationTasks(plan)
  const python = tasks.some((t) => t.tools.includes('python'))
  return withSession(flags, plan, python, async (session, agent) => {
    const images = new Map<string, RawImage>()
    const progress = host.progress('evaluate', tasks.length * plan.samples, 'rollouts')
    try {
      const trajectories = await evaluate({ ...agent, images }, plan, (done) => progress.update(done))
      const meta = { kind: 'evaluation', label: flags.checkpoint, plan, weightVersion: session.model.weightVersion() }
      return { trajectories, images, meta }
    } finally {
      progress.end()
    }
  })
}

const rowsOf = (label: string, trajectories: readonly Trajectory[], rewardThreshold = 1): TableRow[] =>
  summariseByFamily(countByQuestion(trajectories, rewardThreshold)).map((summary) => ({
    label,
    summary,
    rewardThreshold,
  }))

async function evaluateAnew(flags: Flags, host: CommandHost, out: string | undefined): Promise<void> {
  if (out) {
    checkNewFile(out)
    mkdirSync(dirname(out), { recursive: true })
  }
  const { trajectories, images, meta } = await run(flags, host)
  // before writing: a full disk does not take the figures with it
  console.log(formatTable(rowsOf('checkpoint', trajectories, flags.rewardThreshold)))
  if (!out) return
  saveEvaluation(out, meta, trajectories, images)
  console.log(`trajectories: ${out}`)
}

function warnings({ path, training, label, torn }: EvaluationFile): string[] {
  return [
    ...(training
      ? [`note: ${path}: ${label}, sampled while the weights changed: no evaluation of one checkpoint`]
      : []),
    ...(torn
      ? [
          `warning: ${path}: torn record at byte ${torn.byte}: only the ${torn.records} whole records before it are scored`,
        ]
      : []),
  ]
}

/** Rows of each file for itself. Exit code 1 when one is torn. */
async function scoreFiles(path: string, rewardThreshold: number | undefined): Promise<void> {
  const files = await loadEvaluations(path)
  for (const line of files.flatMap(warnings)) console.error(line)
  console.log(
    formatTable(
      files.flatMap((file) => rowsOf(file.label, file.trajectories, rewardThreshold ?? file.rewardThreshold)),
    ),
  )
  if (files.some((file) => file.torn)) process.exitCode = 1
}

function common(command: Command, host: CommandHost, split: Split, questions: number): Command {
  return command
    .option('--checkpoint <folder>', 'folder with config.json and model.safetensors', host.checkpoint)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(buildOption())
    .addOption(splitOption(split))
    .option('--questions <n>', 'questions, families in turn', integer(1, largestQuestions), questions)
    .option('--samples <n>', 'rollouts a question', integer(1, largestSamples), 8)
    .addOption(easyShareOption())
    .addOption(seedOption())
    .addOption(familiesOption())
}

/** `axpo eval`, and `axpo tool`, which tries one call of a tool. */
export function addEvalCommand(program: Command, host: CommandHost): void {
  addToolCommand(program)
  common(program.command('eval').description('Pass@1 and Pass@4 with 95 % intervals, by family'), host, 'test', 258)
    .addOption(tasksOption())
    .addOption(toolsOption())
    .option(
      '--reward-threshold <reward>',
      'reward from which on a rollout is right (default: 1, of files what they were made with)',
      threshold,
    )
    .option('--out <file>', 'write the trajectories to this new file (msgpack)')
    .option(
      '--from-trajectories <path>',
      'score a file of trajectories, or each one of a folder or run; no model is loaded',
    )
    .action(async (flags: Flags & { out?: string; fromTrajectories?: string }) => {
      if (flags.fromTrajectories) await scoreFiles(flags.fromTrajectories, flags.rewardThreshold)
      else await evaluateAnew(flags, host, flags.out)
    })
}

/** Exit code 1 when the gate fails. */
export function addCalibrateCommand(suite: Command, host: CommandHost): void {
  const command = suite
    .command('calibrate')
    .description('the acceptance gate of an SFT checkpoint, every figure by family')
  common(command, host, 'validation', 192).action(async (flags: Flags) => {
    const { text, pass } = formatCalibration(calibrationRows((await run(flags, host)).trajectories))
    console.log(text)
    if (!pass) process.exitCode = 1
  })
}
