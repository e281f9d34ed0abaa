/** A user's questions from a JSONL file as the agent's tasks, checked against the tools and the model before anything is sampled. Not here: reading the file (@axpo/tasks). */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { decodeImage, type RolloutSetting, type Task } from '@axpo/agent'
import { createRandom, gradeUserTask, loadUserTasks, type Split, type UserTask } from '@axpo/tasks'

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

/** A file of questions (JSONL) as settings name it: what is in it decides a run as much as where it is. */
export interface TasksFile {
  readonly tasks: string
  /** SHA-256 of its questions as they were read, documents and pixels of images included; without it (runs of older versions) nothing is checked. */
  readonly tasksSha256?: string
}

/** SHA-256 of questions, in their order; not of where they stand. */
function hashTasks(tasks: readonly UserTask[]): string {
  const hash = createHash('sha256')
  for (const { images, place: _, ...rest } of tasks) {
    hash.update(JSON.stringify(rest))
    for (const { width, height, data } of images) hash.update(`${width}x${height}`).update(data)
  }
  return hash.digest('hex')
}

function checkUnchanged({ tasks: path, tasksSha256: wanted }: TasksFile, tasks: readonly UserTask[]): void {
  if (wanted === undefined) return
  const got = hashTasks(tasks)
  if (got !== wanted)
    throw new Error(
      `${path}: the questions must be those the run began with (SHA-256 ${wanted.slice(0, 12)}), got others (${got.slice(0, 12)}). Put the file back, or begin a new run in another --out.`,
    )
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
export function loadSplit(file: TasksFile, split: Split): UserTask[] {
  const tasks = loadUserTasks(file.tasks, decodeImage)
  checkUnchanged(file, tasks)
  return splitOf(file.tasks, tasks, split)
}

/** The file by its absolute path and content. Throws unless it has the splits that will be needed. */
export function openTasksFile(path: string, needed: readonly Split[]): Required<TasksFile> {
  const file = resolve(path)
  const tasks = loadUserTasks(file, decodeImage)
  for (const split of needed) splitOf(file, tasks, split)
  return { tasks: file, tasksSha256: hashTasks(tasks) }
}

/** The fields of settings that name a file of questions; none where there is none. */
export function tasksFileOf({ tasks, tasksSha256 }: Partial<TasksFile>): TasksFile | null {
  if (tasks === undefined) return null
  return tasksSha256 === undefined ? { tasks } : { tasks, tasksSha256 }
}

/** What supervised fine-tuning learns from: the train split, and what the model is to know by heart whatever its split. */
export function loadTaught(file: TasksFile): UserTask[] {
  const tasks = loadUserTasks(file.tasks, decodeImage)
  checkUnchanged(file, tasks)
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
