/** A user's questions from a JSONL file as the agent's tasks, checked against the tools and the model before anything is sampled. Not here: reading the file (@axpo/tasks). */
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

/** The questions of one split of a file, in its order. */
export function loadSplit(path: string, split: Split): UserTask[] {
  const tasks = loadUserTasks(path, decodeImage)
  const found = tasks.filter((t) => t.split === split)
  if (found.length === 0)
    throw new Error(
      `${path}: the split ${split} must have a question, got ${tasks.length} questions, all in other splits. Add questions, or give some "split": "${split}".`,
    )
  return found
}

/** What supervised fine-tuning learns from: the train split, and what the model is to know by heart whatever its split. */
export function loadTaught(path: string): UserTask[] {
  const others = loadUserTasks(path, decodeImage).filter((task) => task.known && task.split !== 'train')
  return [...loadSplit(path, 'train'), ...others]
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
