/**
 * Demonstrations from a task file's `calls`: what supervised fine-tuning of the nano model shows before reinforcement learning begins, as for the built-in suite (demonstrate.ts).
 * Answers that no call stands behind are drawn from the file's own answers.
 */
import type { Demonstration, SftMixture } from './demonstrate.ts'
import { thoughtWords } from './demonstrate.ts'
import { createRandom } from './random.ts'
import type { UserTask } from './user-tasks.ts'

type Demonstrated = Pick<UserTask, 'id' | 'gold' | 'calls' | 'easy'>

/** Number `index` of a mixture; keyed, so the same every time. Without a call an easy task is answered rightly, any other by a guess. */
export function demonstrateUserTask(
  task: Demonstrated,
  mixture: SftMixture,
  guesses: readonly string[],
  seed: number,
  index: number,
): Demonstration {
  const random = createRandom('user demonstration', seed, index, task.id)
  const word = () => `${random.pick(thoughtWords)} `
  const useTool = random.uniform() < mixture.toolShare
  const right = random.uniform() < mixture.rightShare
  const calls = task.calls.filter((call) => call.right === right)
  const call = useTool && calls.length > 0 ? random.pick(calls) : null
  const thinking = word()
  if (call) return { thinking, call, thinkingAfter: word(), answer: call.reading ?? random.pick(guesses) }
  return { thinking, call, thinkingAfter: '', answer: task.easy ? task.gold : random.pick(guesses) }
}
