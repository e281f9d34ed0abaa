/**
 * Interpreters kept ready, and the queue in front of them. Each call has an interpreter to itself; a call that could have changed its interpreter (python-harness.ts decides),
 * that did not end, or that broke it, was the last one there, and a new interpreter starts in the background. Time in the queue is not the call's time.
 */
import { type Interpreter, type InterpreterOptions, launchInterpreter } from './python-interpreter.ts'
import type { PythonReply } from './python-process.ts'

export interface PoolOptions extends InterpreterOptions {
  readonly interpreters: number
}

export type PoolResult =
  | { readonly kind: 'reply'; readonly reply: PythonReply }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'broken'; readonly message: string }

interface Job {
  readonly code: string
  readonly resolve: (result: PoolResult) => void
}

const gone = 'the tool has been disposed of'

export class PythonPool {
  private readonly options: PoolOptions
  private readonly queue: Job[] = []
  private readonly idle: Interpreter[] = []
  private readonly busy = new Set<Interpreter>()
  /** Started, or starting. */
  private readonly starts = new Set<Promise<void>>()
  private disposed = false
  /** Idle interpreters keep nobody from ending; open calls do. */
  private keepAlive: NodeJS.Timeout | null = null
  private openCount = 0

  constructor(options: PoolOptions) {
    this.options = options
  }

  async run(code: string): Promise<PoolResult> {
    if (this.disposed) return { kind: 'broken', message: gone }
    return this.open(
      () =>
        new Promise((resolve) => {
          this.queue.push({ code, resolve })
          this.fill()
          this.pump()
        }),
    )
  }

  /** Resolves when every interpreter stands; throws when one cannot be started. */
  async warm(): Promise<void> {
    if (this.disposed) throw new Error('python: the tool has been disposed of. Create another one.')
    this.fill()
    await this.open(() => Promise.all(this.starts))
  }

  dispose(): void {
    this.disposed = true
    for (const interpreter of [...this.idle.splice(0), ...this.busy]) interpreter.kill()
    this.failAll(gone)
  }

  private async open<T>(work: () => Promise<T>): Promise<T> {
    if (this.openCount++ === 0) this.keepAlive = setInterval(() => {}, 2 ** 30)
    try {
      return await work()
    } finally {
      if (--this.openCount === 0) clearInterval(this.keepAlive!)
    }
  }

  private fill(): void {
    if (this.disposed) return
    for (let n = this.idle.length + this.busy.size + this.starts.size; n < this.options.interpreters; n++) this.start()
  }

  private start(): void {
    const start = launchInterpreter(this.options).then((interpreter) => {
      if (this.disposed) return interpreter.kill()
      this.idle.push(interpreter)
    })
    this.starts.add(start)
    start
      .catch((error: unknown) => {
        // what cannot start now fails the calls that wait for it; the next call tries again
        if (this.idle.length + this.busy.size === 0)
          this.failAll(error instanceof Error ? error.message : String(error))
      })
      .finally(() => {
        this.starts.delete(start)
        this.pump()
      })
  }

  private failAll(message: string): void {
    for (const job of this.queue.splice(0)) job.resolve({ kind: 'broken', message })
  }

  private pump(): void {
    while (this.queue.length > 0 && this.idle.length > 0) void this.execute(this.idle.pop()!, this.queue.shift()!)
  }

  private async execute(interpreter: Interpreter, job: Job): Promise<void> {
    this.busy.add(interpreter)
    const end = await interpreter.call(job.code)
    this.busy.delete(interpreter)
    job.resolve(this.disposed ? { kind: 'broken', message: gone } : end)
    const reusable = end.kind === 'reply' && end.reusable
    if (reusable && !this.disposed) this.idle.push(interpreter)
    else interpreter.kill()
    this.fill()
    this.pump()
  }
}
