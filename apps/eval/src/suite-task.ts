/** The built-in suite's questions as the agent's tasks. */
import type { Task } from '@axpo/agent'
import { grade, type Question } from '@axpo/tasks'

export function suiteTask(question: Question): Task {
  return {
    questionId: question.id,
    family: question.family,
    split: question.split,
    messages: question.messages,
    images: question.images,
    tools: question.tools,
    documents: question.documents,
    gallery: question.gallery,
    grade: (answer) => grade(question, answer),
  }
}
