/**
 * Kernels by themselves: every matrix product of a training and of a decoding step, some by themselves, and the step's other kernels, at the sizes they have there.
 * Matrix products also as share of the peak (peak.ts) measured in the same round on the same threads.
 */
import {
  add,
  buildBackward,
  type Executor,
  forwardCalls,
  Graph,
  type LoadedPlan,
  linear,
  planGraph,
  type Tensor,
  WebGpuExecutor,
} from '../packages/kernels/src/index.ts'
import type { BenchContext, SectionResult } from './bench.ts'
import type { Device } from './devices.ts'
import { PeakMeter } from './peak.ts'
import { WebGpuPeak } from './peak-webgpu.ts'
import type { Table } from './report.ts'
import { decodeShapes, type GemmShape, planStepCalls, type StepCall, type StepPlan } from './step-calls.ts'
import { leastSampleMs, median, now } from './timing.ts'
import { type ConfigName, type Effort, loadWorkload, type Workload } from './workload.ts'

/** GFLOP/s that a device can do at most. */
interface Peak {
  measure(): number | Promise<number>
  close(): void
}

/** One thing to time on one device. */
interface Probe {
  readonly row: string
  readonly device: string
  /** Milliseconds of one call. */
  readonly run: () => Promise<number>
}

/** Per row and device: milliseconds of a call, and the share of the peak of the same round given the row's operations. */
interface Samples {
  readonly ms: number[]
  readonly share: number[]
}

/**
 * Milliseconds of one call of a phase, run until enough time has passed. With `sync` (WebGPU, a small read) runs are submitted one behind the other and waited for
 * once, twice as many each time until that takes long enough.
 */
export async function timePhase(
  loaded: LoadedPlan,
  phase: string,
  calls: number,
  live: Record<string, number>,
  sync: (() => Promise<unknown>) | null,
  leastMs = leastSampleMs,
): Promise<number> {
  for (let most = sync ? 1 : Infinity; ; most *= 2) {
    let runs = 0
    const start = now()
    do {
      await loaded.run(phase, live)
      runs++
    } while (runs < most && (sync || now() - start < leastMs))
    if (sync) await sync()
    const ms = now() - start
    if (ms >= leastMs) return ms / (runs * calls)
  }
}

async function sampleAll(
  probes: readonly Probe[],
  operationsOf: (row: string) => number,
  peaks: ReadonlyMap<string, Peak>,
  repetitions: number,
) {
  const samples = new Map<string, Samples>()
  const peakSamples = new Map<string, number[]>()
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    const peak = new Map<string, number>()
    for (const [device, meter] of peaks) peak.set(device, Math.max(await meter.measure(), await meter.measure()))
    for (const { row, device, run } of probes) {
      const ms = await run()
      if (repetition === 0) continue
      const key = `${row}|${device}`
      const entry = samples.get(key) ?? { ms: [], share: [] }
      samples.set(key, entry)
      entry.ms.push(ms)
      const roundPeak = peak.get(device)
      if (roundPeak) entry.share.push(operationsOf(row) / ms / 1e6 / roundPeak)
    }
    if (repetition > 0)
      for (const [device, value] of peak) peakSamples.set(device, [...(peakSamples.get(device) ?? []), value])
  }
  return { samples, peakSamples }
}

/** A single matrix product outside of any model, by the public builders and their backward rule. */
export function loadGemm(
  executor: Executor,
  { M, N, K, mode }: GemmShape,
  repeats: number,
  name: string,
): { loaded: LoadedPlan; out: Tensor } {
  const g = new Graph()
  // nt: y[M,N] = x[M,K]·w[N,K]^T. nn: dx[M,N] = dy[M,K]·w[K,N]. tn: dw[M,N] = dy[K,M]^T·x[K,N]
  const [rows, inWidth, outWidth] = mode === 'nt' ? [M, K, N] : mode === 'nn' ? [M, N, K] : [K, N, M]
  const region = (part: string, elements: number) => {
    executor.allocate(`${name} ${part}`, elements)
    executor.writeRegion(`${name} ${part}`, 0, new Float32Array(elements).fill(0.01))
    return `${name} ${part}`
  }
  const weightGradient =
    mode === 'tn' ? g.persistent('dw', region('dw', outWidth * inWidth), 0, outWidth, inWidth) : undefined
  const weight = g.persistent('w', region('w', outWidth * inWidth), 0, outWidth, inWidth, weightGradient)
  const source = g.host('x', rows, inWidth)
  const inputGradient = mode === 'nn' ? g.persistent('dp', region('dp', rows * inWidth), 0, rows, inWidth) : undefined
  // a trained tensor in front makes the gradient of x an activation, written and not added to, as it is in the model
  const x = inputGradient
    ? add(g, source, g.persistent('p', region('p', rows * inWidth), 0, rows, inWidth, inputGradient))
    : source
  const y = linear(g, x, weight)
  const dy = g.host('dy', rows, outWidth)
  const forward = forwardCalls(g)
  const measured = (mode === 'nt' ? forward : buildBackward(g, [[y, dy]])).filter(({ kernel }) =>
    kernel.name.startsWith('gemm'),
  )
  const phases = { forward, run: Array.from({ length: repeats }, () => measured).flat() }
  const loaded = executor.load(planGraph(g, { phases }))
  for (const tensor of [source, dy]) loaded.write(tensor, new Float32Array(tensor.rows.count * tensor.width).fill(0.5))
  return { loaded, out: dy }
}

const label = ({ M, N, K, mode, adds }: GemmShape) => `${M}x${N}x${K} ${mode}${adds ? '+' : ''}`

interface GemmRow {
  readonly name: string
  readonly shape: GemmShape
  readonly count: number
}

/** Table of matrix products: rate and share a device, and the total weighted by how often each comes. */
function gemmTable(
  title: string,
  rows: readonly GemmRow[],
  devices: readonly Device[],
  samples: ReadonlyMap<string, Samples>,
  notes: readonly string[],
): Table {
  const operations = (row: GemmRow) => 2 * row.shape.M * row.shape.N * row.shape.K
  const share = (values: readonly number[]) => (values.length > 0 ? `${(100 * median(values)).toFixed(0)} %` : '-')
  const line = (row: GemmRow) => [
    label(row.shape),
    row.count,
    ...devices.flatMap(({ name }) => {
      const { ms, share: shares } = samples.get(`${row.name}|${name}`)!
      return [operations(row) / median(ms) / 1e6, share(shares)]
    }),
  ]
  const total = devices.flatMap(({ name }) => {
    const of = (row: GemmRow) => samples.get(`${row.name}|${name}`)!
    const time = rows.reduce((sum, row) => sum + row.count * median(of(row).ms), 0)
    const work = rows.reduce((sum, row) => sum + row.count * operations(row), 0)
    // the share of the sum: time at the peak over time taken
    const atPeak = rows.reduce((sum, row) => sum + row.count * median(of(row).ms) * median(of(row).share), 0)
    return [work / time / 1e6, Number.isNaN(atPeak) ? '-' : `${((100 * atPeak) / time).toFixed(0)} %`]
  })
  const sorted = [...rows].sort((a, b) => b.count * operations(b) - a.count * operations(a))
  return {
    title,
    columns: ['M x N x K', 'times', ...devices.flatMap(({ name }) => [`${name} GFLOP/s`, 'of peak'])],
    rows: [...sorted.map(line), ['all, weighted', rows.reduce((sum, { count }) => sum + count, 0), ...total]],
    notes,
  }
}

function otherTable(
  title: string,
  calls: readonly StepCall[],
  devices: readonly Device[],
  samples: ReadonlyMap<string, Samples>,
): Table {
  const rows = calls.map((call) => ({
    call,
    ms: devices.map(({ name }) => median(samples.get(`${call.phase}|${name}`)!.ms)),
  }))
  rows.sort((a, b) => b.call.countInStep * b.ms[0]! - a.call.countInStep * a.ms[0]!)
  return {
    title,
    columns: ['kernel', 'size', 'calls a step', ...devices.flatMap(({ name }) => [`${name} ms a step`, 'rate'])],
    rows: rows
      .slice(0, 24)
      .map(({ call, ms }) => [
        call.kernel,
        call.size,
        call.countInStep,
        ...ms.flatMap((time) => [
          call.countInStep * time,
          call.operations > 0
            ? `${(call.operations / time / 1e6).toFixed(1)} GFLOP/s`
            : `${(call.byteLength / time / 1e6).toFixed(1)} GB/s`,
        ]),
      ]),
    notes: ['The 24 longest. Attention counts visible pairs only; GB/s counts each operand once.'],
  }
}

const syncOf = (device: Device, loaded: LoadedPlan, tensor: Tensor) =>
  device.kind === 'cpu' ? null : () => loaded.read(tensor, 1)

/** Square ones, and one as long and narrow as those of a small model. */
function plainShapes(device: Device['kind'], quick: boolean): GemmShape[] {
  const sides = quick ? [128] : { software: [256], cpu: [256, 512, 1024], gpu: [512, 1024, 2048, 4096] }[device]
  const shapes = sides.map((side) => ({ M: side, N: side, K: side }))
  if (!quick && device !== 'software') shapes.push({ M: 2048, N: 128, K: 128 })
  return shapes.flatMap((shape) =>
    (['nt', 'nn', 'tn'] as const).map((mode) => ({ ...shape, mode, adds: mode === 'tn' })),
  )
}

/** M, N, K and the best GFLOP/s seen of any WGSL product on a software adapter (lavapipe of Mesa 25.0.7, 2 cores): medians of a prototype with tiles of 8 x 8. */
const prototype = [
  { M: 512, N: 512, K: 512, best: 5.7 },
  { M: 2048, N: 128, K: 128, best: 4.2 },
  { M: 4096, N: 256, K: 96, best: 5.9 },
] as const

interface PrototypeRow extends GemmRow {
  readonly best: number
}

function prototypeRows(kind: Device['kind'], quick: boolean): PrototypeRow[] {
  if (kind !== 'software') return []
  return (quick ? prototype.slice(1, 2) : prototype).flatMap(({ M, N, K, best }) =>
    (['nn', 'nt', 'tn'] as const).map((mode) => {
      const shape = { M, N, K, mode, adds: false }
      return { shape, best, count: 1, name: `prototype ${label(shape)}` }
    }),
  )
}

/** Ours as a share of the prototype's figure. The prototype's products were A B; ours takes either of them transposed as well. */
function prototypeTable(
  rows: readonly PrototypeRow[],
  { name }: Device,
  samples: ReadonlyMap<string, Samples>,
  notes: readonly string[],
): Table {
  const percent = (value: number) => `${(100 * value).toFixed(0)} %`
  return {
    title: `Matrix products against the best figures of a WGSL prototype, ${name}`,
    columns: ['M x N x K', 'GFLOP/s', 'of peak', 'prototype GFLOP/s', 'of prototype'],
    rows: rows.map((row) => {
      const { M, N, K } = row.shape
      const { ms, share } = samples.get(`${row.name}|${name}`)!
      const rate = (2 * M * N * K) / median(ms) / 1e6
      return [label(row.shape), rate, percent(median(share)), row.best, percent(rate / row.best)]
    }),
    notes,
  }
}

interface Work {
  readonly workload: Workload
  readonly step: StepPlan
  /** Calls repeated in a phase. */
  readonly repeats: number
  readonly products: readonly GemmRow[]
  readonly decodeRows: number
  readonly decode: readonly GemmRow[]
  readonly plain: readonly GemmRow[]
  readonly prototype: readonly PrototypeRow[]
  readonly others: readonly StepCall[]
}

async function planWork(name: ConfigName, kind: Device['kind'], effort: Effort): Promise<Work> {
  const workload = await loadWorkload(name, kind, effort)
  // on a GPU a submit costs as much as many small calls
  const repeats = { software: 1, cpu: 4, gpu: 64 }[kind]
  const step = planStepCalls(workload, repeats)
  const decodeRows = Math.min(128, workload.sizes.questions * workload.sizes.samples)
  const shapes = name === 'nano' ? plainShapes(kind, effort.quick) : []
  return {
    workload,
    step,
    repeats,
    products: step.calls.flatMap(({ gemm, phase, countInStep }) =>
      gemm ? [{ name: phase, shape: gemm, count: countInStep }] : [],
    ),
    decodeRows,
    decode: decodeShapes(workload, decodeRows).map((row) => ({ ...row, name: `decode ${label(row.shape)}` })),
    plain: shapes.map((shape) => ({ shape, count: 1, name: `plain ${label(shape)}` })),
    prototype: name === 'nano' ? prototypeRows(kind, effort.quick) : [],
    others: kind === 'software' ? [] : step.calls.filter(({ gemm }) => !gemm),
  }
}

/** What there is to time on one device, its plans loaded and run once. */
async function openProbes(device: Device, executor: Executor, work: Work): Promise<Probe[]> {
  const { step, repeats, products, others, decode, plain, prototype: known } = work
  const loaded = step.load(executor)
  await loaded.run('forward', step.live)
  await loaded.run('backward', step.live)
  const sync = device.kind === 'cpu' ? null : () => executor.readRegion('grads', 0, 1)
  // a read-back at the end takes up to a tenth of a millisecond
  const leastMs = device.kind === 'gpu' ? 10 : leastSampleMs
  const probes: Probe[] = [...products.map((row) => row.name), ...others.map((call) => call.phase)].map((phase) => ({
    row: phase,
    device: device.name,
    run: () => timePhase(loaded, phase, repeats, { ...step.live }, sync, leastMs),
  }))
  for (const row of [...decode, ...plain, ...known]) {
    const alone = loadGemm(executor, row.shape, repeats, row.name)
    await alone.loaded.run('forward')
    probes.push({
      row: row.name,
      device: device.name,
      run: () => timePhase(alone.loaded, 'run', repeats, {}, syncOf(device, alone.loaded, alone.out), leastMs),
    })
  }
  return probes
}

function tablesOf(
  work: Work,
  devices: readonly Device[],
  samples: ReadonlyMap<string, Samples>,
  peakNote: string,
): Table[] {
  const { workload, products, decodeRows, decode, plain, others } = work
  const names = devices.map((device) => device.name).join(' and ')
  const where = `${workload.name}, ${names}`
  const notes = [`Peak of fused multiply-adds in registers (128-bit WebAssembly; WGSL), GFLOP/s: ${peakNote}.`]
  const tokens = `${workload.sizes.sequences} x ${workload.sizes.sequenceTokens} tokens`
  const gemms = (title: string, rows: readonly GemmRow[]) =>
    rows.length > 0 ? [gemmTable(title, rows, devices, samples, notes)] : []
  return [
    ...gemms(`Matrix products of a training step, ${where} (${tokens})`, products),
    ...gemms(`Matrix products of a decoding step of ${decodeRows} sequences, ${where}`, decode),
    ...gemms(`Matrix products by themselves, ${names}`, plain),
    ...(work.prototype.length > 0 ? [prototypeTable(work.prototype, devices[0]!, samples, notes)] : []),
    ...(others.length > 0
      ? [otherTable(`Other kernels of a training step, ${where} (${tokens})`, others, devices, samples)]
      : []),
  ]
}

async function measureConfig(name: ConfigName, devices: readonly Device[], effort: Effort): Promise<SectionResult> {
  const work = await planWork(name, devices[0]!.kind, effort)
  const rows = [...work.products, ...work.decode, ...work.plain, ...work.prototype]
  const operations = new Map(rows.map(({ name: row, shape: { M, N, K } }) => [row, 2 * M * N * K]))
  const executors: Executor[] = []
  const peaks = new Map<string, Peak>()
  const probes: Probe[] = []
  for (const device of devices) {
    const executor = await device.open()
    executors.push(executor)
    peaks.set(
      device.name,
      executor instanceof WebGpuExecutor ? await WebGpuPeak.open(executor) : await PeakMeter.open(device.threads),
    )
    probes.push(...(await openProbes(device, executor, work)))
  }
  // devices one after the other on the same row
  probes.sort((a, b) => a.row.localeCompare(b.row))
  const { repetitions } = work.workload.sizes
  const { samples, peakSamples } = await sampleAll(probes, (row) => operations.get(row) ?? 0, peaks, repetitions)
  for (const meter of peaks.values()) meter.close()
  for (const executor of executors) await executor.close()
  const peakNote = [...peakSamples].map(([device, values]) => `${device} ${median(values).toFixed(1)}`).join(', ')
  return {
    tables: tablesOf(work, devices, samples, peakNote),
    samples: { model: name, ...Object.fromEntries(samples), peaks: Object.fromEntries(peakSamples) },
  }
}

export async function benchKernels(context: BenchContext): Promise<SectionResult> {
  const groups = [
    context.devices.filter(({ kind }) => kind === 'cpu'),
    context.devices.filter(({ kind }) => kind !== 'cpu'),
  ]
  const results: SectionResult[] = []
  for (const devices of groups)
    for (const name of ['nano', 'small'] as const) {
      if (devices.length === 0 || (name === 'small' && devices[0]!.kind === 'software')) continue
      results.push(await measureConfig(name, devices, context))
    }
  return { tables: results.flatMap(({ tables }) => tables), samples: results.map(({ samples }) => samples) }
}
