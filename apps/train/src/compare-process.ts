/** The program of a cell's process: takes its job from the parent, reports progress, ends when the job or the parent does. Started by compare-pool.ts only. */
import { runCell } from './compare-cell.ts'
import type { CellJob } from './compare-plan.ts'
import { explain } from './explain.ts'

/** What the parent hears. */
export interface CellMessage {
  /** Rollouts' worth of work since the last message. */
  readonly work: number
  readonly text: string
}

const intervalMs = 250

function reporter(): (work: number, text: string) => void {
  let waiting = 0
  let last = 0
  return (work, text) => {
    waiting += work
    const now = performance.now()
    if (now - last < intervalMs) return
    last = now
    // a parent that was killed: what the run folder holds is whole
    if (!process.connected) process.exit(1)
    process.send!({ work: waiting, text } satisfies CellMessage)
    waiting = 0
  }
}

process.on('disconnect', () => process.exit(1))
process.once('message', async (job: CellJob) => {
  try {
    await runCell(job, reporter())
  } catch (error) {
    console.error(explain(error))
    if (process.env.AXPO_DEBUG) console.error(error)
    process.exit(1)
  }
  // Dawn keeps Node alive after its last promise
  process.exit(0)
})
