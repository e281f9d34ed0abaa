/**
 * The `python` tool against code that wants out. Each attempt gets the bridge to JavaScript back first where it needs it: closing that bridge is a courtesy, the process is the wall.
 * What stops each attempt is asserted, and that the host is as it was: no file made, none read, no connection, no secret printed.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPythonTool, type PythonTool } from './python.ts'

interface Attempt {
  readonly name: string
  /** Leaves what it got in `r`. MARK, SECRET: paths on the host; PORT: where the host listens. */
  readonly code: string
  /** `type: message` of what was raised, or `got` and the repr of `r`. */
  readonly outcome: RegExp
}

const uncloseModules = `import sys
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'Closed']
`
/** m: Emscripten's module, O: JavaScript's Object. */
const bridge = `${uncloseModules}import pyodide_js
m = pyodide_js._module
O = pyodide_js.constructor
`
const noProcesses = /OSError.*(support processes|not implemented)/i
const noStrings = /EvalError: Code generation from strings disallowed/
const shut = /not available in this process/

const processes: Attempt[] = [
  { name: 'os.system', code: `import os; r = os.system('touch MARK')`, outcome: /^got 32512$/ },
  { name: 'os.popen', code: `import os; r = os.popen('touch MARK').read()`, outcome: noProcesses },
  { name: 'subprocess', code: `import subprocess; r = subprocess.run(['touch', 'MARK'])`, outcome: noProcesses },
  {
    name: 'posix_spawn',
    code: `import os; r = os.posix_spawn('/usr/bin/touch', ['touch', 'MARK'], {})`,
    outcome: /AttributeError/,
  },
  { name: 'execv', code: `import os; r = os.execv('/usr/bin/touch', ['touch', 'MARK'])`, outcome: /^OSError/ },
  { name: 'fork', code: `import os\nwhile True: r = os.fork()`, outcome: noProcesses },
  {
    name: 'threads',
    code: `import _thread; r = _thread.start_new_thread(print, ())`,
    outcome: /can't start new thread/,
  },
  { name: 'kill the parent', code: `import os; r = os.kill(os.getppid(), 9)`, outcome: /PermissionError/ },
  {
    name: 'ctypes, system',
    code: `import ctypes; r = ctypes.CDLL(None).system(b'touch MARK')`,
    outcome: /32512|Error/,
  },
  {
    name: 'a class that holds os.system',
    code: `r = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0].__init__.__globals__['system']('touch MARK')`,
    outcome: /^got 32512$/,
  },
]

const javascript: Attempt[] = [
  {
    name: 'modules loaded',
    code: `import sys; r = [n for n in sys.modules if n.split('.')[0] in ('js', 'pyodide_js', 'pyodide', '_pyodide_core')]`,
    outcome: /^got \[\]$/,
  },
  { name: 'import js', code: `import js`, outcome: /^ImportError/ },
  { name: 'import pyodide_js', code: `import pyodide_js`, outcome: /^ImportError/ },
  { name: 'pyodide.ffi', code: `import pyodide.ffi`, outcome: /^ImportError/ },
  {
    name: 'proxies among all objects',
    code: `import gc; r = [o for o in gc.get_objects() if type(o).__name__ == 'JsProxy']`,
    outcome: /^got \[\]$/,
  },
  {
    name: 'frames',
    code: `import sys
f, r = sys._getframe(), []
while f: r += [n for n in (*f.f_globals, *f.f_locals) if n in ('js', 'pyodide_js', 'process')]; f = f.f_back`,
    outcome: /^got \[\]$/,
  },
  { name: 'Function', code: `${bridge}r = O.constructor('return process')()`, outcome: noStrings },
  {
    name: 'AsyncFunction',
    code: `${bridge}r = O.getPrototypeOf(pyodide_js.runPythonAsync).constructor('return process')()`,
    outcome: noStrings,
  },
  { name: 'run_js', code: `${bridge}import pyodide.code; r = pyodide.code.run_js('process')`, outcome: /Error/ },
  {
    name: 'globals through js',
    code: `${bridge}import js; r = [n for n in ('process', 'require', 'fetch', 'XMLHttpRequest', 'WebSocket', 'globalThis') if hasattr(js, n)]`,
    outcome: /^got \[\]$/,
  },
  {
    name: 'callers',
    code: `${bridge}r = pyodide_js.loadPackage.caller`,
    outcome: /may not be accessed on strict mode/,
  },
  {
    name: 'a library',
    code: `${bridge}r = m.loadDynamicLibrary('/nothing.so')`,
    outcome: /Failed to find dynamic library/,
  },
]

const files: Attempt[] = [
  { name: 'read a file', code: `r = open('SECRET').read()`, outcome: /^FileNotFoundError/ },
  { name: 'write a file', code: `r = open('MARK', 'w').write('x')`, outcome: /^FileNotFoundError/ },
  { name: '/proc/self', code: `r = open('/proc/self/environ', 'rb').read()`, outcome: /^FileNotFoundError/ },
  {
    name: 'list the root',
    code: `import os; r = sorted(os.listdir('/'))`,
    outcome: /^got \['dev', 'home', 'lib', 'proc', 'tmp'/,
  },
  { name: 'environment', code: `import os; r = sorted(os.environ)`, outcome: /^got (?!.*(AXPO|NODE))/ },
  {
    name: 'mount the host',
    code: `${bridge}o = O.new(); o.root = '/etc'; pyodide_js.FS.mkdir('/h'); r = pyodide_js.FS.mount(m.NODEFS, o, '/h')`,
    outcome: shut,
  },
  { name: 'mountNodeFS', code: `${bridge}r = pyodide_js.mountNodeFS('/h2', '/etc')`, outcome: /does not exist/ },
  {
    name: 'a large file, written',
    code: `r = open('/tmp/a', 'wb').write(b'x' * 10**8)`,
    outcome: /No space left/,
  },
  {
    name: 'a large file, grown',
    code: `import os; open('/tmp/b', 'w').close(); r = os.truncate('/tmp/b', 10**8)`,
    outcome: /No space left/,
  },
  {
    name: 'a large file, sought',
    code: `f = open('/tmp/c', 'wb'); f.seek(10**8); f.write(b'x'); r = f.close()`,
    outcome: /No space left/,
  },
]

const network: Attempt[] = [
  { name: 'socket', code: `import socket`, outcome: /^ImportError/ },
  {
    name: 'socket, module got back',
    code: `${uncloseModules}import socket; s = socket.socket(); s.connect(('127.0.0.1', PORT)); r = s.send(b'x')`,
    outcome: /^OSError/,
  },
  {
    name: 'urllib',
    code: `import urllib.request; r = urllib.request.urlopen('http://127.0.0.1:PORT/')`,
    outcome: /Error/,
  },
  {
    name: 'XMLHttpRequest',
    code: `${bridge}import pyodide.http; r = pyodide.http.open_url('http://127.0.0.1:PORT/').read()`,
    outcome: /Error/,
  },
  // never resolves: the event loop stands still
  {
    name: 'fetch',
    code: `${bridge}r = pyodide_js.loadPackage('http://127.0.0.1:PORT/x.whl')`,
    outcome: /^got <PyodideFuture pending/,
  },
  {
    name: 'WebSocket',
    code: `${bridge}r = m.SOCKFS.websocket_sock_ops.createPeer(m.SOCKFS.createSocket(2, 1, 6), '127.0.0.1', PORT)`,
    outcome: /Error|JsException/,
  },
]
const attempts = { processes, javascript, files, network }

let folder = ''
let server: Server
let connectionCount = 0
let port = 0
let python: PythonTool
const secret = 'hostile-test-secret-7351'

beforeAll(async () => {
  process.env.AXPO_HOSTILE_SECRET = secret
  folder = mkdtempSync(join(tmpdir(), 'axpo-hostile-'))
  writeFileSync(join(folder, 'secret'), secret)
  server = createServer((socket) => {
    connectionCount++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as { port: number }).port
  // generous: the machine may be busy, and nothing here waits for it
  python = createPythonTool({ timeoutMs: 120_000, interpreters: 1, characters: 100_000 })
}, 120_000)

afterAll(() => {
  python.dispose()
  server.close()
  delete process.env.AXPO_HOSTILE_SECRET
  rmSync(folder, { recursive: true })
})

const call = (tool: PythonTool, code: string) =>
  tool.run({ code }, { images: [], documents: [] }, new AbortController().signal)

function expectHostUnharmed(text: string): void {
  expect(existsSync(join(folder, 'mark'))).toBe(false)
  expect(connectionCount).toBe(0)
  expect(text).not.toContain(secret)
}

const placed = (code: string) =>
  code
    .replaceAll('MARK', join(folder, 'mark').replaceAll('\\', '/'))
    .replaceAll('SECRET', join(folder, 'secret').replaceAll('\\', '/'))
    .replaceAll('PORT', String(port))

/** All attempts of a group in one call: an interpreter for each would cost a second of CPU each. */
const runAll = (group: readonly Attempt[]) => `import json, sys
finders, loaded = list(sys.meta_path), dict(sys.modules)
outcomes = {}
for name, code in json.loads(${JSON.stringify(JSON.stringify(group.map(({ name, code }) => [name, placed(code)])))}):
    scope = {'__name__': '__main__', 'r': 'nothing'}
    try:
        exec(code, scope)
        outcomes[name] = 'got ' + repr(scope['r'])
    except BaseException as error:
        outcomes[name] = type(error).__name__ + ': ' + str(error)
    sys.meta_path[:] = finders
    for new in set(sys.modules) - set(loaded): del sys.modules[new]
print(json.dumps(outcomes))`

for (const [title, group] of Object.entries(attempts))
  describe(title, () => {
    let outcomes: Record<string, string> = {}
    beforeAll(async () => {
      const result = await call(python, runAll(group))
      expectHostUnharmed(result.text)
      expect(result.status, result.text).toBe('ok')
      outcomes = JSON.parse(result.text) as Record<string, string>
    }, 120_000)

    test.each([...group])('$name', ({ name, outcome }) => {
      expect(outcomes[name]).toMatch(outcome)
      expectHostUnharmed(outcomes[name]!)
    })
  })

/** What Python itself does not survive is one failed call. */
const fatal: Attempt[] = [
  {
    name: 'emscripten_run_script',
    code: `import ctypes; ctypes.CDLL(None).emscripten_run_script_int(b'1+1')`,
    outcome: /eval is not defined/,
  },
  { name: 'read beyond the memory', code: 'import ctypes; ctypes.string_at(0xfffffff0)', outcome: /out of bounds/ },
  { name: 'os._exit', code: 'import os; os._exit(0)', outcome: /Error/ },
]
test.each(fatal)('ends its interpreter only: $name', async ({ code, outcome }) => {
  const result = await call(python, placed(code))
  expect(result.status).toBe('failed')
  expect(result.text).toMatch(outcome)
  expectHostUnharmed(result.text)
  expect((await call(python, '1+1')).text).toBe('=> 2')
})

// elsewhere the time limit is all that bounds JavaScript's array buffers
test.runIf(process.platform === 'linux')("memory outside of Python's heap is bounded by the system", async () => {
  const result = await call(python, `${bridge}a = m.HEAP8.constructor.new(3 * 2**30); a.fill(1)`)
  expect(result.text).toMatch(/RangeError: Array buffer allocation failed/)
})
