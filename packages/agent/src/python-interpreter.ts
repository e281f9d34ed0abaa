/**
 * One interpreter process from the parent's side: starting it closed (python-process.ts says how), one call at a time with a time limit, and its end. The process is not trusted:
 * what it writes is bounded and checked. Not here: how many there are and which call gets which (python-pool.ts).
 *
 * Starting Pyodide takes seconds of CPU; from a snapshot of its memory a fraction of one. The first interpreter of this process makes the snapshot before it has run anything of a
 * model's, and all later ones load it; python-snapshot.ts keeps it for the next process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, realpathSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { dirname, extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ProcessOptions, PythonReply } from './python-process.ts'
import { readSnapshot, snapshotPath, writeSnapshot } from './python-snapshot.ts'

export interface InterpreterOptions {
  /** Wall-clock limit of a call. */
  readonly timeoutMs: number
  /** What is kept of each part of the output. */
  readonly characters: number
  /** Python's heap; more is a MemoryError. */
  readonly memoryMiB: number
  /** Where the memory of a started Python is kept for later processes; null: nowhere, each process starts Pyodide itself. */
  readonly snapshotFolder: string | null
}

export type CallEnd =
  | { readonly kind: 'reply'; readonly reply: PythonReply; readonly reusable: boolean }
  /** The process was killed. */
  | { readonly kind: 'timeout' }
  | { readonly kind: 'broken'; readonly message: string }

/** Bytes of files a call may make, in memory. */
const fileBytes = 32 * 2 ** 20
/** An interpreter whose memory has grown beyond this is not used again. */
const grownBytes = 96 * 2 ** 20
const startLimitMs = 120_000
/** What an interpreter process may have of writable memory beyond Python's heap: 0.8 GB after the start, most of it reserved and never touched. */
const processMiB = 1024

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/**
 * JavaScript's array buffers are outside of both heaps; only the system can bound them, and no other system than Linux does. A limit that stood lower stays. Neither cores nor files are
 * ever written, so their size is bounded to nothing, too.
 */
const limited = (program: string, dataMiB: number): string[] =>
  process.platform === 'linux'
    ? ['/bin/sh', '-c', `ulimit -c 0; ulimit -f 0; ulimit -d ${dataMiB * 1024}; exec "$0" "$@"`, program]
    : [program]

function startProcess(options: InterpreterOptions, snapshot: ProcessOptions['snapshot']): ChildProcess {
  const folder = `${realpathSync(pyodideFolder())}${sep}`
  const extension = extname(import.meta.url)
  const program = here(`./python-process${extension}`)
  const readable = [folder, program, here(`./python-harness${extension}`), here('../package.json')]
  const processOptions: ProcessOptions = {
    folder,
    snapshot,
    characters: options.characters,
    lastMs: 2 * options.timeoutMs + 1000,
    fileBytes,
  }
  const flags = [
    '--permission',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    '--disallow-code-generation-from-strings',
    `--wasm-max-mem-pages=${options.memoryMiB * 16}`,
    '--max-old-space-size=128',
    '--no-warnings',
  ]
  const [command, ...first] = limited(process.execPath, processMiB + options.memoryMiB)
  return spawn(command!, [...first, ...flags, program, JSON.stringify(processOptions)], {
    cwd: folder,
    // Windows cannot start a process without it
    env: process.platform === 'win32' ? { SystemRoot: process.env.SystemRoot } : {},
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    windowsHide: true,
  })
}

const isReply = (m: Record<string, unknown>): boolean =>
  typeof m.stdout === 'string' &&
  (m.value === null || typeof m.value === 'string') &&
  (m.error === null || typeof m.error === 'string') &&
  typeof m.memoryBytes === 'number'

export class Interpreter {
  private readonly options: InterpreterOptions
  private readonly process: ChildProcess
  private readonly sockets: readonly Socket[]
  private readonly maxBytes: number
  private readonly chunks: Buffer[] = []
  private byteCount = 0
  private diagnosis = ''
  private single = false
  private onMessage: (message: Record<string, unknown>) => void = () => {}
  private onEnd: (message: string) => void = () => {}
  private ended: string | null = null
  readonly ready: Promise<void>
  /** Of the interpreter that makes one; resolved before `ready`. */
  readonly snapshot: Promise<Buffer>

  constructor(options: InterpreterOptions, snapshot: Buffer | null) {
    this.options = options
    this.maxBytes = 64 * 1024 + 128 * options.characters
    this.process = startProcess(options, snapshot ? 'load' : 'make')
    this.sockets = this.process.stdio as unknown as Socket[]
    // an idle interpreter keeps nobody from ending; python-pool.ts keeps the process while calls are open
    this.process.unref()
    for (const socket of this.sockets) {
      socket.unref()
      socket.on('error', () => {})
    }
    const [, stdout, stderr, extra] = this.sockets as [Socket, Socket, Socket, Socket]
    stdout.on('data', (bytes: Buffer) => this.receive(bytes))
    stderr.on('data', (bytes: Buffer) => {
      this.diagnosis = (this.diagnosis + bytes.subarray(-2000).toString('utf8')).slice(-2000)
    })
    this.process.on('error', (error) => this.end(error.message))
    this.process.on('close', (code, signal) => this.end(`the interpreter ended with ${signal ?? `code ${code}`}`))
    this.ready = this.waitForStart()
    this.ready.catch(() => {})
    this.snapshot = snapshot ? Promise.resolve(snapshot) : this.receiveSnapshot(extra)
    this.snapshot.catch(() => {})
    if (snapshot) extra.end(snapshot)
  }

  private waitForStart(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (message: string) => {
        clearTimeout(timer)
        reject(new Error(`python: could not start Pyodide (${message}). ${this.diagnosis.trim().slice(-500)}`))
        this.kill()
      }
      const timer = setTimeout(() => fail(`no answer for ${startLimitMs / 1000} s`), startLimitMs)
      this.onEnd = fail
      this.onMessage = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private async receiveSnapshot(from: Socket): Promise<Buffer> {
    const parts: Buffer[] = []
    from.on('data', (bytes: Buffer) => parts.push(bytes))
    // a maker that dies half-way closes this pipe too: what came is a snapshot only once it says that it is ready
    await Promise.all([this.ready, new Promise((resolve) => from.on('close', resolve))])
    return Buffer.concat(parts)
  }

  private receive(bytes: Buffer): void {
    this.byteCount += bytes.length
    if (this.byteCount > this.maxBytes) {
      this.kill()
      this.end('too much output from the interpreter')
      return
    }
    this.chunks.push(bytes)
    if (!bytes.includes(10)) return
    const lines = Buffer.concat(this.chunks.splice(0)).toString('utf8').split('\n')
    const rest = Buffer.from(lines.pop()!)
    if (rest.length > 0) this.chunks.push(rest)
    this.byteCount = rest.length
    for (const line of lines) this.receiveLine(line)
  }

  private receiveLine(line: string): void {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      message = null
    }
    if (message === null || typeof message !== 'object') {
      this.kill()
      this.end('the interpreter broke the protocol')
      return
    }
    const record = message as Record<string, unknown>
    if (record.single === true) this.single = true
    else this.onMessage(record)
  }

  private end(message: string): void {
    this.ended ??= message
    this.onEnd(message)
  }

  /** After `ready`, one call at a time. Anything but a reusable reply means that this interpreter is spent: the process has been killed. */
  async call(code: string): Promise<CallEnd> {
    const end = this.ended === null ? await this.exchange(code) : ({ kind: 'broken', message: this.ended } as const)
    this.onMessage = () => {}
    this.onEnd = () => {}
    if (end.kind !== 'reply' || !end.reusable) this.kill()
    return end
  }

  private exchange(code: string): Promise<CallEnd> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish({ kind: 'timeout' }), this.options.timeoutMs)
      const finish = (end: CallEnd) => {
        clearTimeout(timer)
        resolve(end)
      }
      this.onEnd = (message) => finish({ kind: 'broken', message })
      this.onMessage = (message) => {
        if (!isReply(message)) return finish({ kind: 'broken', message: String(message.broken ?? 'no reply') })
        const reply = message as unknown as PythonReply
        finish({ kind: 'reply', reply, reusable: !this.single && reply.memoryBytes <= grownBytes })
      }
      this.sockets[0]!.write(`${JSON.stringify({ code })}\n`)
    })
  }

  kill(): void {
    this.process.kill('SIGKILL')
    for (const socket of this.sockets) socket.destroy()
  }
}

let firstSnapshot: Promise<Buffer> | null = null

const pyodideFolder = () => dirname(createRequire(import.meta.url).resolve('pyodide/package.json'))

function snapshotFile(options: InterpreterOptions): string | null {
  if (options.snapshotFolder === null) return null
  const { version } = JSON.parse(readFileSync(join(pyodideFolder(), 'package.json'), 'utf8')) as { version: string }
  const sources = ['python-process', 'python-harness'].map((name) =>
    readFileSync(here(`./${name}${extname(import.meta.url)}`), 'utf8'),
  )
  return snapshotPath(options.snapshotFolder, [version, process.version, process.arch, options.memoryMiB, ...sources])
}

async function loadInterpreter(options: InterpreterOptions, snapshot: Buffer): Promise<Interpreter> {
  const loader = new Interpreter(options, snapshot)
  await loader.ready
  return loader
}

/** From a snapshot that an earlier process kept; null: there is none, or it does not start and is gone now. */
async function launchFromFile(options: InterpreterOptions, path: string): Promise<Interpreter | null> {
  const kept = readSnapshot(path)
  if (!kept) return null
  try {
    const interpreter = await loadInterpreter(options, kept)
    firstSnapshot ??= Promise.resolve(kept)
    return interpreter
  } catch {
    rmSync(path, { force: true })
    return null
  }
}

async function makeInterpreter(options: InterpreterOptions, path: string | null): Promise<Interpreter> {
  const maker = new Interpreter(options, null)
  firstSnapshot = maker.snapshot
  try {
    const snapshot = await firstSnapshot
    if (path) writeSnapshot(path, snapshot)
  } catch (error) {
    firstSnapshot = null
    throw error
  }
  return maker
}

/** A started interpreter that has run nothing yet. */
export async function launchInterpreter(options: InterpreterOptions): Promise<Interpreter> {
  if (firstSnapshot) return loadInterpreter(options, await firstSnapshot)
  const path = snapshotFile(options)
  return (
    (path && (await launchFromFile(options, path))) ||
    (firstSnapshot ? launchInterpreter(options) : makeInterpreter(options, path))
  )
}
