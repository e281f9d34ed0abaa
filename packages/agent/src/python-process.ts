/**
 * The program of the interpreter process: CPython compiled to WebAssembly (Pyodide), fed through pipes. Started by python-interpreter.ts only, with Node's permission model on
 * (it may read Pyodide's folder and these files; no writing, no processes, no threads, no addons), an empty environment, and code generation from strings off.
 *
 * A model's code is taken to be hostile, and Pyodide's bridge to JavaScript to be open. So, before any of it runs:
 * - the process can do nothing by itself: the permission model refuses files, processes, threads and addons inside Node, below JavaScript;
 * - no JavaScript can be made (`eval`, `Function`, `import()` and `require` refuse), so only functions that exist can be reached, and those that touch the outside are taken away:
 *   every global but the language's own, the functions of `fs` and `child_process`, `process`; `net`, `tls`, `ws` and all other built-in modules are never loaded;
 * - the event loop never turns again: requests are read and answered with blocking calls from the program's top level, so no socket, timer or promise makes progress.
 * What remains is burning time and memory: the parent kills the process, `--wasm-max-mem-pages` bounds Python's heap, the in-memory files are bounded here.
 *
 * Wire: one JSON object a line. In: `{code}`. Out: `{ready}` once; a line `{single: true}` before code that may change the interpreter; the reply.
 * Descriptor 3: a new snapshot goes out (mode `make`), or a snapshot comes in (mode `load`).
 */
import childProcess from 'node:child_process'
import fs from 'node:fs'
import fsPromises from 'node:fs/promises'
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import { pythonHarness } from './python-harness.ts'

/** argv[2] as JSON. */
export interface ProcessOptions {
  /** Pyodide's folder, with a slash at the end. */
  readonly folder: string
  readonly snapshot: 'make' | 'load'
  /** Of each of: stdout's head, its tail, the value, the error. */
  readonly characters: number
  /** A call that runs longer ends the process, should nobody have killed it. */
  readonly lastMs: number
  readonly fileBytes: number
}

export interface PythonReply {
  /** stdout and stderr. */
  readonly stdout: string
  /** repr of the last expression, null when it was None. */
  readonly value: string | null
  /** Last line of the traceback, null when nothing was raised. */
  readonly error: string | null
  /** Size of Python's memory. */
  readonly memoryBytes: number
}

interface MemoryFile {
  readonly contents: { readonly length: number }
  readonly usedBytes: number
}

/** What is used of Pyodide beyond its typed interface: Emscripten's files in memory. */
interface MemoryFileSystem {
  expandFileStorage(node: MemoryFile, capacity: number): void
  resizeFileStorage(node: MemoryFile, size: number): void
  readonly ops_table: {
    readonly file: {
      readonly stream: {
        write(
          stream: { readonly node: MemoryFile },
          buffer: Uint8Array,
          offset: number,
          length: number,
          position: number,
          canOwn?: boolean,
        ): number
      }
    }
  }
}

const options = JSON.parse(process.argv[2]!) as ProcessOptions
// Python would show it as its own path
process.argv.splice(1, 2, 'python')
// not in the types: ends at once, with no handler of `exit` run
const { reallyExit } = process as unknown as { reallyExit(code: number): never }
const exit = reallyExit.bind(process)
const { readSync, writeSync, readFileSync, constants } = fs
const now = performance.now.bind(performance)
const { timeOrigin } = performance
// as names of this file, they outlive the globals
const { Buffer } = globalThis
let sealed = false

const refuse = (): never => {
  throw new Error('not available in this process')
}

// modules that Pyodide asks for and that must lead nowhere; child_process stays itself, emptied below, because Python's os.system expects a status
const deadEnds = ['ws', 'net', 'tls', 'stream', 'vm', 'node:net', 'node:tls', 'node:stream', 'node:vm']
const open = ['node:child_process', 'node:crypto', 'node:path']
registerHooks({
  resolve(specifier, context, next) {
    if (deadEnds.includes(specifier)) return next('node:path', context)
    if (sealed && !open.includes(specifier)) throw new Error(`${specifier}: no modules in this process`)
    return next(specifier, context)
  },
})
// Pyodide reads the constants of open(2) through it; the permission model refuses the real one
Object.defineProperty(process, 'binding', { value: () => ({ fs: constants }) })

/** Replaces all that can be called or followed, except `kept`; what cannot be replaced (constants of `fs`) is plain data. */
function emptyObject(object: object, kept: Readonly<Record<string, unknown>> = {}): void {
  for (const name of Object.getOwnPropertyNames(object)) {
    const { configurable, writable } = Object.getOwnPropertyDescriptor(object, name)!
    const value = name in kept ? kept[name] : refuse
    if (configurable) Object.defineProperty(object, name, { value, configurable })
    else if (writable) Object.defineProperty(object, name, { value })
  }
}
// 127: what a shell says of a command it cannot find
emptyObject(childProcess, { spawnSync: () => ({ status: 127, signal: null, stdout: '', stderr: '' }) })
syncBuiltinESMExports()

/** Head and tail of what was written, in bytes; the middle of a flood is dropped as it comes. */
class BoundedText {
  private readonly limit: number
  private head: Uint8Array[] = []
  private headBytes = 0
  private tail = new Uint8Array(0)
  private dropped = false

  constructor(limit: number) {
    this.limit = limit
  }

  add(bytes: Uint8Array): void {
    const first = bytes.slice(0, Math.max(0, this.limit - this.headBytes))
    if (first.length > 0) this.head.push(first)
    this.headBytes += first.length
    if (first.length === bytes.length) return
    const rest = bytes.subarray(first.length)
    const joined = new Uint8Array(Math.min(this.limit, rest.length) + this.tail.length)
    joined.set(this.tail)
    joined.set(rest.subarray(-this.limit), this.tail.length)
    this.dropped ||= joined.length > this.limit || rest.length > this.limit
    this.tail = joined.slice(-this.limit)
  }

  take(): string {
    const decode = (parts: Uint8Array[]) => Buffer.concat(parts).toString('utf8')
    const text = this.dropped ? `${decode(this.head)}\n...\n${decode([this.tail])}` : decode([...this.head, this.tail])
    this.head = []
    this.headBytes = 0
    this.tail = new Uint8Array(0)
    this.dropped = false
    return text
  }
}

// UTF-8 takes at most 4 bytes a character
const output = new BoundedText(4 * options.characters)

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
}
const encoder = new TextEncoder()
const send = (message: unknown) => writeAll(1, encoder.encode(`${JSON.stringify(message)}\n`))

const { loadPyodide } = (await import(pathToFileURL(`${options.folder}pyodide.mjs`).href)) as typeof import('pyodide')
const collect = {
  write: (bytes: Uint8Array) => {
    output.add(bytes)
    return bytes.length
  },
  isatty: false,
}
const python = await loadPyodide({
  indexURL: options.folder,
  jsglobals: Object.create(null) as object,
  env: { PYTHONHASHSEED: '0', HOME: '/home/agent' },
  // replaced below; without these Pyodide opens the process's own
  stdin: () => null,
  stdout: () => {},
  stderr: () => {},
  ...(options.snapshot === 'make' ? { _makeSnapshot: true } : { _loadSnapshot: readFileSync(3) }),
} as Parameters<typeof loadPyodide>[0])
if (options.snapshot === 'make') {
  python.runPython(pythonHarness)
  writeAll(3, (python as unknown as { makeMemorySnapshot(): Uint8Array }).makeMemorySnapshot())
}
fs.closeSync(3)
python.setStdin({ error: true })
python.setStdout(collect)
python.setStderr(collect)

const prepare = python.globals.get('prepare') as (code: string) => boolean
const execute = python.globals.get('execute') as (limit: number) => string
python.runPython('begin()')
const module = (python as unknown as { _module: { HEAP8: Int8Array } })._module

let deadline = Number.POSITIVE_INFINITY
// CPython asks for signals here now and then; a process that outlived its call, and so its parent, ends
const clock = {
  get 0() {
    if (now() > deadline) exit(124)
    return 0
  },
  set 0(_: number) {},
}
python.setInterruptBuffer(clock as unknown as Uint8Array)

/** Files live outside of Python's heap. What a call has claimed is never given back: only an interpreter with a single call can make files. */
function boundFiles(limit: number): void {
  const files = (python.FS as unknown as { filesystems: { MEMFS: MemoryFileSystem } }).filesystems.MEMFS
  const { ErrnoError } = python.FS as unknown as { ErrnoError: new (errno: number) => Error }
  const noSpaceLeft = 51
  let claimed = 0
  const claim = (node: MemoryFile, size: number) => {
    const bytes = Math.max(0, size - node.contents.length)
    if (claimed + bytes > limit) throw new ErrnoError(noSpaceLeft)
    claimed += bytes
  }
  const { expandFileStorage, resizeFileStorage } = files
  const { write } = files.ops_table.file.stream
  files.expandFileStorage = (node, capacity) => {
    claim(node, capacity)
    expandFileStorage(node, capacity)
  }
  files.resizeFileStorage = (node, size) => {
    claim(node, size)
    resizeFileStorage(node, size)
  }
  files.ops_table.file.stream.write = (stream, buffer, offset, length, position, canOwn) => {
    // the first write copies its buffer without asking for storage
    if (stream.node.usedBytes === 0 && position === 0) claim(stream.node, length)
    return write(stream, buffer, offset, length, position, canOwn)
  }
}
boundFiles(options.fileBytes)

/** Globals that stay: the language's own, and text conversion. */
const language = new Set(
  `Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError
  TypeError URIError globalThis JSON Math Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float16Array Float32Array Float64Array
  Uint8ClampedArray BigUint64Array BigInt64Array DataView Map BigInt Set WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry Iterator SharedArrayBuffer WebAssembly decodeURI
  decodeURIComponent encodeURI encodeURIComponent escape unescape isFinite isNaN TextDecoder TextEncoder`.split(/\s+/),
)

/** From here on nothing can be loaded, and nothing that touches the outside can be named. */
function seal(): void {
  sealed = true
  emptyObject(fs)
  emptyObject(fsPromises)
  syncBuiltinESMExports()
  const { platform, version, versions } = process
  for (let object: object = process; object !== Object.prototype; object = Object.getPrototypeOf(object) as object)
    // writing it changes what the system shows of this process
    emptyObject(object, { title: 'axpo-python' })
  for (const name of Object.getOwnPropertyNames(globalThis))
    if (!language.has(name)) Reflect.deleteProperty(globalThis, name)
  const stub = Object.freeze({
    platform,
    version,
    versions: { node: versions.node },
    umask: () => 0o22,
    getuid: () => 1000,
  })
  Object.defineProperty(globalThis, 'process', { value: stub })
  Object.defineProperty(globalThis, 'performance', { value: Object.freeze({ now, timeOrigin }) })
  // the event loop stands still, so a timer never comes; console: Pyodide's last words, nobody reads them
  const silent = () => {}
  for (const name of ['setTimeout', 'clearTimeout', 'queueMicrotask'])
    Object.defineProperty(globalThis, name, { value: silent })
  const console = Object.freeze({
    log: silent,
    info: silent,
    debug: silent,
    warn: silent,
    error: silent,
    trace: silent,
  })
  Object.defineProperty(globalThis, 'console', { value: console })
}
seal()

const waiting: Buffer[] = []
const chunk = Buffer.allocUnsafe(1 << 16)

/** The next request; ends the process where the parent has gone. */
function readLine(): string {
  for (;;) {
    const size = readSync(0, chunk, 0, chunk.length, null)
    if (size === 0) exit(0)
    const bytes = Buffer.from(chunk.subarray(0, size))
    waiting.push(bytes)
    // one request at a time: a newline is the last byte of what has come
    if (bytes[size - 1] === 10) return Buffer.concat(waiting.splice(0)).toString('utf8')
  }
}

function answer(code: string): PythonReply {
  deadline = now() + options.lastMs
  if (!prepare(code)) send({ single: true })
  const [value, error] = JSON.parse(execute(options.characters)) as [string | null, string | null]
  deadline = Number.POSITIVE_INFINITY
  return { stdout: output.take(), value, error, memoryBytes: module.HEAP8.length }
}

send({ ready: true })
for (;;) {
  const { code } = JSON.parse(readLine()) as { readonly code: string }
  try {
    send(answer(code))
  } catch (error) {
    send({ broken: String(error).slice(0, 200) })
    exit(1)
  }
}
