/** Runs cells in child processes, so many at a time, in order, with one progress view. Not here: what a cell does (compare-cell.ts). */
import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { workLeft } from './compare-cell.ts'
import type { CellJob } from './compare-plan.ts'
import type { CellMessage } from './compare-process.ts'
import { type CompareProgress, createCompareProgress } from './compare-progress.ts'

const program = fileURLToPath(new URL('./compare-process.ts', import.meta.url))

/** End of a cell's log that is shown when it fails. */
const shownLines = 12

function lastLines(path: string): string {
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-shownLines).join('\n')
}

interface Running {
  readonly child: ChildProcess
  readonly end: Promise<void>
}

function startCell(job: CellJob, onMessage: (message: CellMessage) => void): Running {
  mkdirSync(job.directory, { recursive: true })
  const logPath = join(job.directory, 'log.txt')
  const log = openSync(logPath, 'a')
  const child = fork(program, [], { stdio: ['ignore', log, log, 'ipc'] })
  closeSync(log)
  child.on('message', onMessage)
  child.send(job)
  const end = new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0) resolve()
      else
        reject(
          new Error(
            `compare: cell ${job.label} ended with ${signal ?? `exit code ${code}`}. The end of ${logPath}:\n${lastLines(logPath)}\nThe same command goes on from there.`,
          ),
        )
    })
  })
  return { child, end }
}

/** Cells that are finished already are left alone. The first failure ends the others (they can be gone on with) and is thrown. */
export async function runCells(
  jobs: readonly CellJob[],
  processes: number,
  stream: NodeJS.WriteStream = process.stderr,
): Promise<void> {
  const work = jobs.map(workLeft)
  const waiting = jobs.filter((_, i) => work[i]! > 0)
  if (waiting.length === 0) return
  const total = work.reduce((a, b) => a + b, 0)
  const progress = createCompareProgress(
    { cells: jobs.length, done: jobs.length - waiting.length, work: total },
    stream,
  )
  const running = new Map<string, Running>()
  try {
    const lane = async () => {
      for (let job = waiting.shift(); job; job = waiting.shift()) await runOne(job, running, progress)
    }
    await Promise.all(Array.from({ length: Math.min(processes, waiting.length) }, lane))
  } finally {
    waiting.length = 0
    for (const { child } of running.values()) child.kill()
    await Promise.allSettled([...running.values()].map((r) => r.end))
    progress.end()
  }
}

async function runOne(job: CellJob, running: Map<string, Running>, progress: CompareProgress): Promise<void> {
  progress.cell(job.label, 'starting', 0)
  const cell = startCell(job, ({ work, text }) => progress.cell(job.label, text, work))
  running.set(job.label, cell)
  await cell.end
  running.delete(job.label)
  progress.finished(job.label)
}
