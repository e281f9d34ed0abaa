/**
 * The page: the batch of batch.ts on every executor this browser lets it have, and how far the answers are from each other. One script for the page
 * and its worker, where more than one thread is allowed to wait. In its address: `weights=` a checkpoint folder's address, else
 * the weights come from a seed; `suite=` rows, with which the conformance suite of the kernels runs as well; `webgpu=no` leaves WebGPU out, whose kernels a
 * software driver takes seconds to compile.
 */
import { createCpuExecutor, createWebGpuExecutor, describeAdapter, type Executor } from '@axpo/kernels'
import { type Answer, computeBatch } from './batch.ts'
import { type CaseResult, runSuite } from './suite.ts'

export type Outcome = { readonly where: string } & (
  | { readonly answer: Answer; readonly suite: readonly CaseResult[] }
  | { readonly refused: string }
)

const THREADS = 2
const asked = new URL(location.href).searchParams
const weights = asked.get('weights') ?? undefined
/** Rows of the suite's cases; 0: it is not run. */
const suiteRows = Number(asked.get('suite') ?? 0)

async function onExecutor(where: string, create: () => Promise<Executor>): Promise<Outcome> {
  try {
    const executor = await create()
    try {
      const answer = await computeBatch(executor, weights)
      return { where, answer, suite: suiteRows > 0 ? await runSuite(executor, suiteRows) : [] }
    } finally {
      await executor.close()
    }
  } catch (error) {
    return { where, refused: error instanceof Error ? error.message : String(error) }
  }
}

function inWorker(where: string): Promise<Outcome> {
  const worker = new Worker(`${import.meta.url}${location.search}`, { type: 'module' })
  return new Promise((resolve) => {
    worker.onmessage = ({ data }: MessageEvent<Outcome>) => resolve({ ...data, where })
    worker.onerror = ({ message }) => resolve({ where, refused: message })
  })
}

/** Largest difference of a log-probability, nats. */
function furthest(a: Answer, b: Answer): number {
  const [left, right] = [a.logprobs.flat(), b.logprobs.flat()]
  return Math.max(...left.map((x, i) => Math.abs(x - right[i]!)))
}

function show(outcomes: readonly Outcome[]): void {
  const first = outcomes.flatMap((outcome) => ('answer' in outcome ? [outcome.answer] : []))[0]
  const rows = outcomes.map((outcome) => {
    const row = document.createElement('tr')
    const cells =
      'refused' in outcome
        ? [outcome.where, outcome.refused]
        : [
            outcome.where,
            outcome.answer.executor,
            outcome.answer.logprobs
              .flat()
              .reduce((sum, x) => sum + x, 0)
              .toFixed(6),
            outcome.answer.gradientNorm.toPrecision(8),
            furthest(outcome.answer, first!).toExponential(1),
            `${outcome.answer.forwardMs.toFixed(1)} ms`,
            `${outcome.answer.backwardMs.toFixed(1)} ms`,
          ]
    row.append(
      ...cells.map((text, i) => {
        const cell = document.createElement('td')
        cell.textContent = text
        if ('refused' in outcome && i === 1) cell.colSpan = 6
        return cell
      }),
    )
    return row
  })
  document.querySelector('tbody')!.replaceChildren(...rows)
}

async function runPage(): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const add = async (outcome: Promise<Outcome>) => {
    outcomes.push(await outcome)
    show(outcomes)
  }
  await add(onExecutor('CPU, the page itself', () => createCpuExecutor()))
  await add(onExecutor('CPU, the page itself, 2 threads', () => createCpuExecutor({ threads: THREADS })))
  await add(inWorker('CPU, in a worker, 2 threads'))
  if (asked.get('webgpu') === 'no') outcomes.push({ where: 'WebGPU', refused: 'left out' })
  else if (await describeAdapter()) await add(onExecutor('WebGPU', () => createWebGpuExecutor()))
  else outcomes.push({ where: 'WebGPU', refused: 'this browser has no WebGPU adapter' })
  show(outcomes)
  document.querySelector('#state')!.textContent =
    `Done. Cross-origin isolated: ${crossOriginIsolated ? 'yes' : 'no'}; shared memory: ${typeof SharedArrayBuffer === 'undefined' ? 'refused' : 'there'}.`
  return outcomes
}

declare global {
  /** What the test waits for. */
  var outcomes: Promise<readonly Outcome[]> | undefined
}

if (typeof document === 'undefined') postMessage(await onExecutor('', () => createCpuExecutor({ threads: THREADS })))
else globalThis.outcomes = runPage()
