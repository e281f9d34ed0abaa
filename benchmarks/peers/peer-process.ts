/** A peer in a process of its own that answers requests, one JSON line each. It computes only while asked. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export type Answer = Readonly<Record<string, unknown>>

export class PeerProcess {
  private readonly child: ChildProcess
  private readonly waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = []
  private readonly early: Answer[] = []
  private errors = ''
  private ended: Error | null = null

  constructor(
    command: string,
    args: readonly string[],
    options: { readonly cwd: string; readonly env?: Record<string, string> },
  ) {
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000)
    })
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.take(line))
    this.child.on('error', (error) => this.end(error))
    this.child.on('close', (code) =>
      this.end(new Error(`exit ${code}: ${this.errors.trim().split('\n').slice(-3).join(' / ')}`)),
    )
    this.child.stdin!.on('error', () => {})
  }

  /** The line a peer says when it is ready. Rejects where it could not start. */
  ready(): Promise<Answer> {
    return this.next()
  }

  ask(request: Readonly<Record<string, unknown>>): Promise<Answer> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`)
    return this.next()
  }

  /** Milliseconds of the answer. */
  async milliseconds(request: Readonly<Record<string, unknown>>): Promise<number> {
    const { ms } = await this.ask(request)
    if (typeof ms !== 'number') throw new Error(`peer: an answer must have ms, got ${JSON.stringify(ms)}.`)
    return ms
  }

  close(): void {
    this.child.stdin!.end()
    this.child.kill()
  }

  private next(): Promise<Answer> {
    const answer = this.early.shift()
    if (answer) return Promise.resolve(answer)
    if (this.ended) return Promise.reject(this.ended)
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  private take(line: string): void {
    const answer = JSON.parse(line) as Answer
    const first = this.waiting.shift()
    if (first) first.resolve(answer)
    else this.early.push(answer)
  }

  private end(error: Error): void {
    this.ended ??= error
    for (const { reject } of this.waiting.splice(0)) reject(this.ended)
  }
}
