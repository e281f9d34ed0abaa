/**
 * Kernels by themselves: every matrix product of a training and of a decoding step, square ones, and the step's other kernels, at the sizes they have there.
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
} from '../packages/kernels/src/index.ts'
import type { BenchContext, SectionResult } from './bench.ts'
import type { Device } from './devices.ts'
import { PeakMeter } from './peak.ts'
import type { Table } from './report.ts'
import { decodeShapes, type GemmShape, planStepCalls, type StepCall, type StepPlan } from './step-calls.ts'
import { leastSampleMs, median, now } from './timing.ts'
import { type ConfigName, type Effort, loadWorkload, type Workload } from './workload.ts'

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

/** Runs a phase until enough time has passed; on WebGPU a small read waits for the queue. */
export async function timePhase(
  loaded: LoadedPlan,
  phase: string,
  calls: number,
  live: Record<string, number>,
  sync: (() => Promise<unknown>) | null,
  leastMs = leastSampleMs,
): Promise<number> {
  let runs = 0
  const start = now()
  do {
    await loaded.run(phase, live)
    if (sync) await sync()
    runs++
  } while (now() - start < leastMs)
  return (now() - start) / (runs * calls)
}

async function sampleAll(
  probes: readonly Probe[],
  operationsOf: (row: string) => number,
  peaks: ReadonlyMap<string, PeakMeter>,
  repetitions: number,
) {
  const samples = new Map<string, Samples>()
  const peakSamples = new Map<string, number[]>()
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    const peak = new Map<string, number>()
    for (const [device, meter] of peaks) peak.set(device, Math.max(meter.measure(), meter.measure()))
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

function squares(device: Device['kind'], quick: boolean): GemmShape[] {
  const sides = quick ? [128] : device === 'software' ? [256, 512] : [256, 512, 1024]
  return sides.flatMap((side) =>
    (['nt', 'nn', 'tn'] as const).map((mode) => ({ M: side, N: side, K: side, mode, adds: mode === 'tn' })),
  )
}

interface Work {
  readonly workload: Workload
  readonly step: StepPlan
  /** Calls repeated in a phase. */
  readonly repeats: number
  readonly products: readonly GemmRow[]
  readonly decodeRows: number
  readonly decode: readonly GemmRow[]
  readonly square: readonly GemmRow[]
  readonly others: readonly StepCall[]
}

async function planWork(name: ConfigName, kind: Device['kind'], effort: Effort): Promise<Work> {
  const workload = await loadWorkload(name, kind, effort)
  const repeats = kind === 'software' ? 1 : 4
  const step = planStepCalls(workload, repeats)
  const decodeRows = Math.min(128, workload.sizes.questions * workload.sizes.samples)
  const shapes = name === 'nano' ? squares(kind, effort.quick) : []
  return {
    workload,
    step,
    repeats,
    products: step.calls.flatMap(({ gemm, phase, countInStep }) =>
      gemm ? [{ name: phase, shape: gemm, count: countInStep }] : [],
    ),
    decodeRows,
    decode: decodeShapes(workload, decodeRows).map((row) => ({ ...row, name: `decode ${label(row.shape)}` })),
    square: shapes.map((shape) => ({ shape, count: 1, name: `square ${label(shape)}` })),
    others: kind === 'software' ? [] : step.calls.filter(({ gemm }) => !gemm),
  }
}

/** What there is to time on one device, its plans loaded and run once. */
async function openProbes(device: Device, executor: Executor, work: Work): Promise<Probe[]> {
  const { step, repeats, products, others, decode, square } = work
  const loaded = step.load(executor)
  await loaded.run('forward', step.live)
  await loaded.run('backward', step.live)
  const sync = device.kind === 'cpu' ? null : () => executor.readRegion('grads', 0, 1)
  const probes: Probe[] = [...products.map((row) => row.name), ...others.map((call) => call.phase)].map((phase) => ({
    row: phase,
    device: device.name,
    run: () => timePhase(loaded, phase, repeats, { ...step.live }, sync),
  }))
  for (const row of [...decode, ...square]) {
    const alone = loadGemm(executor, row.shape, repeats, row.name)
    await alone.loaded.run('forward')
    probes.push({
      row: row.name,
      device: device.name,
      run: () => timePhase(alone.loaded, 'run', repeats, {}, syncOf(device, alone.loaded, alone.out)),
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
  const { workload, products, decodeRows, decode, square, others } = work
  const names = devices.map((device) => device.name).join(' and ')
  const where = `${workload.name}, ${names}`
  const notes = peakNote === '' ? [] : [`Peak of 128-bit FMA in registers, GFLOP/s: ${peakNote}.`]
  const tokens = `${workload.sizes.sequences} x ${workload.sizes.sequenceTokens} tokens`
  const gemms = (title: string, rows: readonly GemmRow[]) =>
    rows.length > 0 ? [gemmTable(title, rows, devices, samples, notes)] : []
  return [
    ...gemms(`Matrix products of a training step, ${where} (${tokens})`, products),
    ...gemms(`Matrix products of a decoding step of ${decodeRows} sequences, ${where}`, decode),
    ...gemms(`Square matrix products, ${names}`, square),
    ...(others.length > 0
      ? [otherTable(`Other kernels of a training step, ${where} (${tokens})`, others, devices, samples)]
      : []),
  ]
}

async function measureConfig(name: ConfigName, devices: readonly Device[], effort: Effort): Promise<SectionResult> {
  const work = await planWork(name, devices[0]!.kind, effort)
  const rows = [...work.products, ...work.decode, ...work.square]
  const operations = new Map(rows.map(({ name: row, shape: { M, N, K } }) => [row, 2 * M * N * K]))
  const executors: Executor[] = []
  const peaks = new Map<string, PeakMeter>()
  const probes: Probe[] = []
  for (const device of devices) {
    const executor = await device.open()
    executors.push(executor)
    if (device.kind === 'cpu') peaks.set(device.name, await PeakMeter.open(device.threads))
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
