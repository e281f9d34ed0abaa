/** `axpo sft`: makes the nano checkpoint from scratch, resumable. Not here: the phases and the step (sft.ts). */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import {
  buildOption,
  checkTasks,
  type DeviceName,
  deviceOption,
  fraction,
  integer,
  loadTaught,
  openPython,
  openSession,
  openTaughtFile,
  openToolsFile,
  openUserTools,
  type Session,
  seedOption,
  tasksFileOf,
  threadsOption,
  toolsOption,
  type UserTools,
  userTask,
} from '@axpo/eval'
import type { CpuBuild } from '@axpo/kernels'
import { families, type UserTask } from '@axpo/tasks'
import type { Command } from 'commander'
import { createProgress } from './progress.ts'
import {
  defaultSftSettings,
  rightCallShares,
  type SftSettings,
  sftBatch,
  sftContext,
  sftOptimiser,
  sftStep,
  sftStepCount,
} from './sft.ts'
import { rolloutSetting } from './train.ts'

interface Flags {
  readonly device: DeviceName
  readonly threads: number
  readonly build?: CpuBuild
  readonly seed: number
  readonly phase1Steps: number
  readonly phase2Steps: number
  readonly rightShare: number
  readonly out: string
  readonly tasks?: string
  readonly tools?: string
}

const stepsBetweenCheckpoints = 100

function checkpointsOf(directory: string): number[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .flatMap((name) => /^step-(\d{6})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

const folderOf = (directory: string, step: number) => join(directory, `step-${String(step).padStart(6, '0')}`)

/** The last whole checkpoint is kept, renamed into place. */
async function save(session: Session, directory: string, step: number): Promise<void> {
  const final = folderOf(directory, step)
  await session.model.learner.save(`${final}.part`, { optimiser: true })
  renameSync(`${final}.part`, final)
  for (const old of checkpointsOf(directory)) if (old < step) rmSync(folderOf(directory, old), { recursive: true })
}

async function settingsOf(flags: Flags): Promise<SftSettings> {
  const [one, two] = defaultSftSettings.phases
  return {
    ...defaultSftSettings,
    seed: flags.seed,
    ...(flags.tasks === undefined ? {} : await openTaughtFile(flags.tasks)),
    ...openToolsFile(flags.tools, flags.tasks),
    phases: [
      { ...one, steps: flags.phase1Steps },
      {
        ...two,
        steps: flags.phase2Steps,
        decaySteps: flags.phase2Steps,
        mixture: { ...two.mixture, rightShare: flags.rightShare },
      },
    ],
  }
}

/** A run goes on only with the settings it began with. */
function openFolder(directory: string, settings: SftSettings): void {
  const path = join(directory, 'sft.json')
  const text = `${JSON.stringify(settings, null, 2)}\n`
  mkdirSync(directory, { recursive: true })
  if (!existsSync(path)) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text)
    throw new Error(`sft: ${path} must hold the settings asked for, got others. Give the same flags, or another --out.`)
}

async function sft(flags: Flags): Promise<void> {
  const settings = await settingsOf(flags)
  const directory = resolve(flags.out)
  await using opened = new AsyncDisposableStack()
  const own = await openUserTools(settings)
  opened.defer(() => own.dispose())
  const { device, threads, build } = flags
  const session = await openSession({ device, threads, ...(build ? { build } : {}), ...sftOptimiser })
  opened.defer(() => session.close())
  const tasks = await loadQuestions(session, own, settings)
  openFolder(directory, settings)
  await tune(session, own, settings, directory, tasks)
  await session.model.learner.save(join(directory, 'checkpoint'))
  console.log(`checkpoint: ${join(flags.out, 'checkpoint')}`)
}

/** The user's questions where there are some, known to be playable: before a folder is made that would then be taken. */
async function loadQuestions(session: Session, own: UserTools, settings: SftSettings): Promise<UserTask[] | undefined> {
  const file = tasksFileOf(settings)
  if (file === null) return undefined
  const tasks = await loadTaught(file)
  checkTasks(tasks.map(userTask), rolloutSetting(session, openPython(), own.tools))
  return tasks
}

/** All steps, from the last checkpoint on where there is one. */
async function tune(
  session: Session,
  own: UserTools,
  settings: SftSettings,
  directory: string,
  tasks: readonly UserTask[] | undefined,
): Promise<void> {
  const context = sftContext(session, own.tools)
  const total = sftStepCount(settings)
  const first = checkpointsOf(directory).at(-1) ?? 0
  if (first > 0) await session.model.learner.load(folderOf(directory, first), { optimiser: true })
  else session.model.initialise(settings.seed)
  console.log(`device: ${session.device}${first > 0 ? `; going on at step ${first}` : ''}`)
  const progress = createProgress('sft', total - first, 'steps')
  const tell = (line: string) => {
    appendFileSync(join(directory, 'log.txt'), `${line}\n`)
    progress.line(line)
  }
  try {
    for (let step = first; step < total; step++) {
      const result = await sftStep(session, settings, step, await sftBatch(settings, step, context, tasks))
      progress.update(step + 1 - first)
      if (result.step % 20 === 0)
        tell(
          `step ${result.step}  phase ${result.phase}  loss ${result.loss.toFixed(4)}  gradient norm ${result.gradientNorm.toFixed(3)}`,
        )
      if (result.step % stepsBetweenCheckpoints !== 0 && result.step !== total) continue
      await save(session, directory, result.step)
      if (tasks) continue
      const right = await rightCallShares(session)
      tell(`step ${result.step}  right calls: ${families.map((f) => `${f} ${right[f].toFixed(2)}`).join('  ')}`)
    }
  } finally {
    progress.end()
  }
}

export function addSftCommand(program: Command): void {
  const [one, two] = defaultSftSettings.phases
  program
    .command('sft')
    .description('make the nano checkpoint from generated demonstrations, from scratch; run again to go on')
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(buildOption())
    .addOption(seedOption())
    .option('--phase1-steps <n>', 'right calls: format, reading, localisation', integer(1), one.steps)
    .option('--phase2-steps <n>', 'how often a tool is tried, how often it is right', integer(1), two.steps)
    .option('--right-share <share>', 'share of right calls among those of phase 2', fraction, two.mixture.rightShare)
    .option('--tasks <file>', 'learn from the calls of this JSONL file (docs/your-own-tasks.md) instead of the suite')
    .addOption(toolsOption())
    .option('--out <folder>', 'checkpoints and log', 'runs/sft')
    .action(sft)
}
