/**
 * When to start waiting for a run. Dawn under Node polls without pause for as long as a wait is open; where the driver itself runs on the CPU
 * that takes a core from the work waited for. There a wait first sleeps for half of what the same run took before.
 */

/** What is known of a plan's phase. */
export interface RunTime {
  startedMs: number
  /** Never more than twice what was expected before, so that one slow run on a busy machine does not make the next ones sleep too long. 0: not known. */
  expectedMs: number
}

const MOST_MS = 1000
/** Shorter sleeps are not worth a timer. */
const LEAST_MS = 3

export class Patience {
  private readonly sleeps: boolean
  private current: RunTime | null = null

  /** `sleeps`: the driver runs on the CPU. */
  constructor(sleeps: boolean) {
    this.sleeps = sleeps
  }

  started(run: RunTime, nowMs = performance.now()): void {
    run.startedMs = nowMs
    this.current = run
  }

  /** Milliseconds to sleep before a wait for the last run is opened. */
  sleepMs(nowMs = performance.now()): number {
    if (!this.sleeps || !this.current) return 0
    const { startedMs, expectedMs } = this.current
    const rest = Math.min(MOST_MS, startedMs + expectedMs / 2 - nowMs)
    return rest < LEAST_MS ? 0 : rest
  }

  /** A wait is over: the last run has ended. */
  ended(nowMs = performance.now()): void {
    const run = this.current
    if (!run) return
    const tookMs = nowMs - run.startedMs
    run.expectedMs = run.expectedMs === 0 ? tookMs / 4 : Math.min(tookMs, 2 * run.expectedMs)
    this.current = null
  }
}
