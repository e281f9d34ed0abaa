/** A user's questions from a JSONL file as the agent's tasks, checked against the tools and the model before anything is sampled. Not here: reading the file (@axpo/tasks). */
import { decodeImage, type RolloutSetting, type Task } from '@axpo/agent'
import { gradeUserTask, loadUserTasks, type Split, type UserTask } from '@axpo/tasks'

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

/** Tokens of a task's prompt, images included. */
function promptLength(task: UserTask, { codec, tools }: RolloutSetting): number {
  const pads = task.images.reduce((n, image) => n + codec.imageTokenCount(image) - 1, 0)
  return codec.encode(codec.renderPrompt(task.messages, tools.specs(task.tools))).length + pads
}

/** Throws when a task cannot be played: a tool that nobody has, or a prompt that leaves no room for a turn. */
export function checkUserTasks(tasks: readonly UserTask[], setting: RolloutSetting): void {
  const { contextTokens, turnTokens } = setting.limits
  for (const task of tasks) {
    let length: number
    try {
      length = promptLength(task, setting)
    } catch (error) {
      throw new Error(
        `${task.place}: a task must have tools and images that can be used, got ${(error as Error).message}`,
      )
    }
    if (length + turnTokens > contextTokens)
      throw new Error(
        `${task.place}: a prompt must leave ${turnTokens} of ${contextTokens} tokens for a turn, got a prompt of ${length}. Shorten the question, or its images.`,
      )
  }
}
