/**
 * A peer in a process of its own that answers requests, one JSON line each. Between answers it is stopped by signal (where the system has signals), so that
 * threads which spin while they wait, as OpenMP's active ones do, take nothing from whoever is measured then.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const canPause = process.platform !== 'win32'

/** A stopped child would not see that its parent is gone. */
const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

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
    alive.add(this.child)
  }

  /** The line a peer says when it is ready. Rejects where it could not start. */
  ready(): Promise<Answer> {
    return this.next()
  }

  ask(request: Readonly<Record<string, unknown>>): Promise<Answer> {
    if (canPause) this.child.kill('SIGCONT')
    this.child.stdin!.write(`${JSON.stringify(request)}\n`)
    return this.next()
  }

  /** Numbers of the answer, by name. */
  async numbers<const Name extends string>(
    request: Readonly<Record<string, unknown>>,
    names: readonly Name[],
  ): Promise<Readonly<Record<Name, number>>> {
    const answer = await this.ask(request)
    for (const name of names)
      if (typeof answer[name] !== 'number')
        throw new Error(`peer: an answer must have ${name}, got ${JSON.stringify(answer)}.`)
    return answer as Readonly<Record<Name, number>>
  }

  /** Milliseconds of the answer. */
  async milliseconds(request: Readonly<Record<string, unknown>>): Promise<number> {
    return (await this.numbers(request, ['ms'])).ms
  }

  close(): void {
    this.child.kill('SIGKILL')
  }

  private next(): Promise<Answer> {
    const answer = this.early.shift()
    if (answer) return Promise.resolve(answer)
    if (this.ended) return Promise.reject(this.ended)
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  private take(line: string): void {
    const answer = JSON.parse(line) as Answer
    if (canPause) this.child.kill('SIGSTOP')
    const first = this.waiting.shift()
    if (first) first.resolve(answer)
    else this.early.push(answer)
  }

  private end(error: Error): void {
    this.ended ??= error
    alive.delete(this.child)
    for (const { reject } of this.waiting.splice(0)) reject(this.ended)
  }
}
