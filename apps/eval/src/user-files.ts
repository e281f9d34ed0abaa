/** A user's questions and tools as settings name them: of training, of evaluation, of fine-tuning, of a comparison alike. Not here: what is in the files. */
import type { Split } from '@axpo/tasks'
import { openTasksFile, type TasksFile } from './user-task.ts'
import { openToolsFile, type ToolsFile } from './user-task-tools.ts'

/** By path and content; empty where the suite is meant. */
export interface UserFiles extends Partial<TasksFile>, Partial<ToolsFile> {}

/** The files of --tasks and --tools, checked and told by content. `needed`: the splits that must have a question. */
export async function openUserFiles(
  { tasks, tools }: { readonly tasks?: string | undefined; readonly tools?: string | undefined },
  needed: readonly Split[],
): Promise<UserFiles> {
  const ownTools = openToolsFile(tools, tasks)
  return tasks === undefined ? {} : { ...(await openTasksFile(tasks, needed)), ...ownTools }
}

/** Those fields of settings, and no other. */
export function userFilesOf({ tasks, tasksSha256, tools, toolsSha256 }: UserFiles): UserFiles {
  return {
    ...(tasks === undefined ? {} : { tasks }),
    ...(tasksSha256 === undefined ? {} : { tasksSha256 }),
    ...(tools === undefined ? {} : { tools }),
    ...(toolsSha256 === undefined ? {} : { toolsSha256 }),
  }
}
