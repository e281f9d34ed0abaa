/**
 * The page of ../browser in headless Chromium: the same batch as under Node, on each executor a page may have, with and without shared memory.
 * AXPO_BROWSER=none skips it, in words.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createCpuExecutor } from '@axpo/kernels'
import { loadCases } from '@axpo/kernels/conformance'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Answer, computeBatch, decodeFloats, picture } from '../browser/batch.ts'
import type { Outcome } from '../browser/page.ts'
import { type PageServer, servePage } from '../browser/serve.ts'
import { saveParameters } from './checkpoint.ts'
import { loadConfig } from './config.ts'
import { createInitialParameters } from './init.ts'
import { nanoDirectory } from './nano.ts'
import { type ParameterList, planParameters } from './parameters.ts'
import { scaledError } from './parity.fixture.ts'

const none = process.env.AXPO_BROWSER === 'none'
if (none) console.warn('model/browser: SKIPPED, AXPO_BROWSER=none says that no Chromium can run here.')

/** First, Chromium may have to be unpacked; SwiftShader's compiler takes 6 s of a core for itself. */
const PREPARE_MS = 300_000
const PAGE_MS = 240_000
/** Rows of the conformance cases: a tile and a rest of four. */
const SUITE_ROWS = 5
const FLAGS = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  // containers without user namespaces; the only pages are our own
  '--no-sandbox',
  '--no-zygote',
]

async function launch(): Promise<Browser> {
  try {
    const script = fileURLToPath(new URL('../../../scripts/setup/chromium.mjs', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [script])
    const { path, env } = JSON.parse(stdout) as { path: string; env: Record<string, string> }
    // the driver of Dawn under Node is not for Chromium, which has its own
    const { VK_DRIVER_FILES: _, VK_ICD_FILENAMES: __, LD_LIBRARY_PATH: ___, ...outer } = process.env
    const inherited = Object.fromEntries(Object.entries(outer).filter((entry) => entry[1] !== undefined))
    return await chromium.launch({
      executablePath: path,
      args: FLAGS,
      env: { ...(inherited as Record<string, string>), ...env },
    })
  } catch (cause) {
    throw new Error(
      `browser: a Chromium must start, got ${String(cause)}. Install chromium, or set AXPO_BROWSER=none to skip.`,
      { cause },
    )
  }
}

describe('nano in headless Chromium', () => {
  let folder: string | undefined
  let server: PageServer
  let browser: Browser
  let node: Answer
  let list: ParameterList
  let caseNames: string[]

  beforeEach((context) => {
    if (none) context.skip('AXPO_BROWSER=none says that no Chromium can run here')
  })

  beforeAll(async () => {
    if (none) return
    folder = await mkdtemp(join(tmpdir(), 'axpo-browser-'))
    const config = await loadConfig(nanoDirectory)
    list = planParameters(config)
    caseNames = (await loadCases()).map(({ name }) => name)
    await saveParameters(config, createInitialParameters(config, 3), folder)
    const executor = await createCpuExecutor()
    node = await computeBatch(executor, folder)
    await executor.close()
    server = await servePage({ weights: folder })
    browser = await launch()
    console.info(`browser: Chromium ${browser.version()}`)
  }, PREPARE_MS)

  afterAll(async () => {
    await browser?.close()
    server?.close()
    if (folder) await rm(folder, { recursive: true })
  })

  async function open(
    kind: 'plain' | 'isolated',
    more = '',
  ): Promise<{ shared: boolean; outcomes: Map<string, Outcome> }> {
    const page = await browser.newPage()
    await page.goto(`${server.address}${kind}/?weights=/weights&suite=${SUITE_ROWS}${more}`)
    const outcomes = await page.evaluate(() => globalThis.outcomes!)
    const shared = await page.evaluate(() => crossOriginIsolated && typeof SharedArrayBuffer !== 'undefined')
    expect(await page.textContent('#state')).toContain(shared ? 'isolated: yes' : 'shared memory: refused')
    expect(await page.locator('tbody tr').count()).toBe(outcomes.length)
    await page.close()
    return { shared, outcomes: new Map(outcomes.map((outcome) => [outcome.where, outcome])) }
  }

  /** Worst gradient of a parameter, over that parameter's largest under Node. */
  function worstGradient(answer: Answer): { error: number; name: string } {
    const [got, want] = [decodeFloats(answer.gradients), decodeFloats(node.gradients)]
    expect([got.length, want.length]).toEqual([list.elementCount, list.elementCount])
    let worst = { error: 0, name: 'none' }
    for (const { name, offset, rows, width } of list.parameters) {
      const part = (flat: Float32Array) => flat.subarray(offset, offset + rows * width)
      const error = scaledError(part(got), part(want))
      if (!(error <= worst.error)) worst = { error, name }
    }
    return worst
  }

  /** Within 1e-4 nats; every parameter's gradient within 1e-3 of its largest element; every case of the conformance suite as under Node. */
  function expectNodes(outcome: Outcome | undefined, executor: RegExp): void {
    if (!outcome || 'refused' in outcome) throw new Error(`browser: an answer is wanted, got ${outcome?.refused}.`)
    const { answer, suite } = outcome
    expect(answer.executor).toMatch(executor)
    const furthest = (key: 'logprobs' | 'entropies') =>
      Math.max(...node[key].flatMap((row, i) => row.map((x, t) => Math.abs(x - answer[key][i]![t]!))))
    const [logprobs, entropies] = [furthest('logprobs'), furthest('entropies')]
    expect(logprobs).toBeLessThan(1e-4)
    expect(entropies).toBeLessThan(1e-4)
    const gradient = worstGradient(answer)
    expect(gradient.error, gradient.name).toBeLessThan(1e-3)
    expect(suite.map(({ name }) => name)).toEqual(caseNames)
    const wrong = suite.filter(
      (item) => !(item.valueError < 2e-5 && item.gradientError < 2e-4 && item.faults.length === 0),
    )
    expect(wrong).toEqual([])
    console.info(
      `browser: ${outcome.where}: ${answer.executor}: log-probabilities ${logprobs.toExponential(1)}, entropies ${entropies.toExponential(1)}, gradients ${gradient.error.toExponential(1)} (${gradient.name}) off Node's; ${suite.length} conformance cases; ${answer.forwardMs.toFixed(0)} + ${answer.backwardMs.toFixed(0)} ms`,
    )
  }

  const refusal = (outcome: Outcome | undefined) => (outcome && 'refused' in outcome ? outcome.refused : 'an answer')

  it('computes the batch at all', () => {
    const { sha256, image } = picture()
    expect(createHash('sha256').update('32,32,').update(image.data).digest('hex')).toBe(sha256)
    expect(node.gradientNorm).toBeGreaterThan(0.01)
    expect(node.logprobs.flat().filter((x) => x < -0.1).length).toBeGreaterThan(40)
  })

  it(
    'a plain page: one CPU thread without shared memory, and WebGPU',
    async () => {
      const { shared, outcomes } = await open('plain')
      expect(shared).toBe(false)
      expectNodes(outcomes.get('CPU, the page itself'), /^WebAssembly SIMD \(\w+\), 1 thread$/)
      expectNodes(outcomes.get('WebGPU'), /^WebGPU, software adapter.*swiftshader/i)
      expect(refusal(outcomes.get('CPU, in a worker, 2 threads'))).toMatch(/without shared memory.*or use threads: 1/)
    },
    PAGE_MS,
  )

  it(
    'an isolated page: two CPU threads in a worker',
    async () => {
      const { shared, outcomes } = await open('isolated', '&webgpu=no')
      expect(shared).toBe(true)
      expectNodes(outcomes.get('CPU, in a worker, 2 threads'), /^WebAssembly SIMD \(\w+\), 2 threads$/)
      expect(refusal(outcomes.get('CPU, the page itself, 2 threads'))).toMatch(/main thread.*in a Worker/)
    },
    PAGE_MS,
  )
})
