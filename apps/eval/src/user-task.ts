/** A user's questions from a JSONL file or a module as the agent's tasks, checked against the tools and the model before anything is sampled. Not here: reading them (@axpo/tasks). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { decodeImage, type RolloutSetting, type Task } from '@axpo/agent'
import { createRandom, gradeUserTask, loadUserTasks, readTaskModule, type Split, type UserTask } from '@axpo/tasks'
import { loadModule } from './user-task-module.ts'

export function userTask(task: UserTask): Task {
  return {
    questionId: task.id,
    family: task.family,
    split: task.split,
    messages: task.messages,
    images: task.images,
    tools: task.tools,
    documents: task.documents,
    grade: (answer) => gradeUserTask(task, answer),
  }
}

/** A file of questions (JSONL, or a module) as settings name it: what is in it decides a run as much as where it is. */
export interface TasksFile {
  readonly tasks: string
  /**
   * SHA-256 of its questions as they were read, documents and pixels of images included, and of a module's text, where the graders are; without it (runs of older versions) nothing is
   * checked.
   */
  readonly tasksSha256?: string
}

const isModule = (path: string): boolean => /\.[cm]?[jt]s$/.test(path)

/** All questions of a file. The one place that tells a module from JSONL: by its extension. */
const readTasks = async (path: string): Promise<UserTask[]> =>
  isModule(path)
    ? readTaskModule(path, await loadModule('--tasks', path), decodeImage)
    : loadUserTasks(path, decodeImage)

/** SHA-256 of the questions of a file, in their order; not of where they stand. */
function hashTasks(path: string, tasks: readonly UserTask[]): string {
  const hash = createHash('sha256')
  for (const { images, place: _, ...rest } of tasks) {
    hash.update(JSON.stringify(rest))
    for (const { width, height, data } of images) hash.update(`${width}x${height}`).update(data)
  }
  if (isModule(path)) hash.update(readFileSync(path))
  return hash.digest('hex')
}

/** Throws when the file has changed since the settings were written. */
async function readUnchanged({ tasks: path, tasksSha256: wanted }: TasksFile): Promise<UserTask[]> {
  const tasks = await readTasks(path)
  if (wanted === undefined) return tasks
  const got = hashTasks(path, tasks)
  if (got !== wanted)
    throw new Error(
      `${path}: the questions must be those the run began with (SHA-256 ${wanted.slice(0, 12)}), got others (${got.slice(0, 12)}). Put the file back, or begin a new run in another --out.${isModule(path) ? ' A module must give the same questions at every call.' : ''}`,
    )
  return tasks
}

function splitOf(path: string, tasks: readonly UserTask[], split: Split): UserTask[] {
  const found = tasks.filter((t) => t.split === split)
  if (found.length === 0)
    throw new Error(
      `${path}: the split ${split} must have a question, got ${tasks.length} questions, all in other splits. Add questions, or give some "split": "${split}".`,
    )
  return found
}

/** The questions of one split of a file, in its order. Throws when the file has changed. */
export async function loadSplit(file: TasksFile, split: Split): Promise<UserTask[]> {
  return splitOf(file.tasks, await readUnchanged(file), split)
}

/** The file by its absolute path and content. Throws unless it has the splits that will be needed. */
export async function openTasksFile(path: string, needed: readonly Split[]): Promise<Required<TasksFile>> {
  const file = resolve(path)
  const tasks = await readTasks(file)
  for (const split of needed) splitOf(file, tasks, split)
  return { tasks: file, tasksSha256: hashTasks(file, tasks) }
}

/** The same for supervised fine-tuning, which learns from calls: those of a JSONL file. */
export async function openTaughtFile(path: string): Promise<Required<TasksFile>> {
  if (isModule(path))
    throw new Error(
      `sft: --tasks must be a JSONL file, whose calls are learnt from, got the module ${path}. Write the questions with their calls as JSONL (docs/your-own-tasks.md).`,
    )
  return openTasksFile(path, ['train'])
}

/** The fields of settings that name a file of questions; none where there is none. */
export function tasksFileOf({ tasks, tasksSha256 }: Partial<TasksFile>): TasksFile | null {
  if (tasks === undefined) return null
  return tasksSha256 === undefined ? { tasks } : { tasks, tasksSha256 }
}

/** What supervised fine-tuning learns from: the train split, and what the model is to know by heart whatever its split. */
export async function loadTaught(file: TasksFile): Promise<UserTask[]> {
  const tasks = await readUnchanged(file)
  return [...splitOf(file.tasks, tasks, 'train'), ...tasks.filter((task) => task.known && task.split !== 'train')]
}

/** Tokens of a task's prompt, images included. */
function promptLength(task: Task, { codec, tools }: RolloutSetting): number {
  const pads = task.images.reduce((n, image) => n + codec.imageTokenCount(image) - 1, 0)
  return codec.encode(codec.renderPrompt(task.messages, tools.specs(task.tools))).length + pads
}

/** Throws when a task cannot be played: a tool that nobody has, or a prompt that leaves no room for a turn. */
export function checkTasks(tasks: readonly Task[], setting: RolloutSetting): void {
  const { contextTokens, turnTokens } = setting.limits
  for (const task of tasks) {
    const op = `task ${task.questionId}`
    let length: number
    try {
      length = promptLength(task, setting)
    } catch (error) {
      throw new Error(`${op}: tools and images must be usable, got: ${(error as Error).message}`)
    }
    if (length + turnTokens > contextTokens)
      throw new Error(
        `${op}: a prompt must leave ${turnTokens} of ${contextTokens} tokens for a turn, got a prompt of ${length}. Shorten the question, or its images.`,
      )
  }
}

/** Task number `index` of an endless row: every task once an epoch, each epoch in another order that follows from the seed. */
export function createTaskRow(tasks: readonly UserTask[], seed: number): (index: number) => Task {
  const orders = new Map<number, readonly UserTask[]>()
  return (index) => {
    const epoch = Math.floor(index / tasks.length)
    let order = orders.get(epoch)
    if (!order) {
      order = createRandom('task row', seed, epoch).draw(tasks, tasks.length)
      // steps move on: older epochs are not asked for again
      if (orders.size > 2) orders.clear()
      orders.set(epoch, order)
    }
    return userTask(order[index % tasks.length]!)
  }
}
