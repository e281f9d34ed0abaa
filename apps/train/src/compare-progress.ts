/** The progress view of a comparison, on stderr: cells done, what runs and where it stands, time left. One line; redrawn on a terminal, repeated now and then elsewhere. */
import { formatSeconds } from './progress.ts'

export interface CompareProgress {
  /** `work`: done since the last call, in the unit of the total. */
  cell(label: string, text: string, work: number): void
  finished(label: string): void
  end(): void
}

export interface CompareState {
  readonly cells: number
  readonly done: number
  /** Of all cells; done so far, total. */
  readonly workDone: number
  readonly work: number
  readonly seconds: number
  /** What runs: label, where it stands. */
  readonly running: ReadonlyMap<string, string>
}

/** Share of the work below which a rate says nothing. */
const leastShare = 0.005

export function compareLine({ cells, done, workDone, work, seconds, running }: CompareState): string {
  const share = work > 0 ? Math.min(1, workDone / work) : 1
  const left =
    share > leastShare ? `about ${formatSeconds((seconds * (1 - share)) / share)} left` : 'time left not known yet'
  const filled = Math.round(20 * share)
  const shown = [...running].map(([label, text]) => `${label}: ${text}`).join(' | ')
  return `compare [${'#'.repeat(filled)}${'.'.repeat(20 - filled)}] ${done}/${cells} cells, ${left}${shown ? `  ${shown}` : ''}`
}

const terminalIntervalMs = 200
const quietIntervalMs = 15_000

export function createCompareProgress(
  start: { readonly cells: number; readonly done: number; readonly work: number },
  stream: NodeJS.WriteStream,
): CompareProgress {
  const began = performance.now()
  const terminal = stream.isTTY === true
  const running = new Map<string, string>()
  let { done } = start
  let workDone = 0
  let last = terminal ? Number.NEGATIVE_INFINITY : began
  const draw = (now: number) => {
    last = now
    const seconds = (now - began) / 1000
    const line = compareLine({ cells: start.cells, done, workDone, work: start.work, seconds, running })
    // a line that wraps could not be cleared
    stream.write(terminal ? `\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}` : `${line}\n`)
  }
  return {
    cell(label, text, work) {
      running.set(label, text)
      workDone += work
      const now = performance.now()
      if (now - last >= (terminal ? terminalIntervalMs : quietIntervalMs)) draw(now)
    },
    finished(label) {
      running.delete(label)
      done++
      draw(performance.now())
    },
    end() {
      if (terminal) stream.write('\r\x1b[K')
    },
  }
}
