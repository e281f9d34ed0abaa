/** Memory of a whole RL step (sampler and learner), each model and device in a process of its own. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { BenchContext, SectionResult } from './bench.ts'
import type { MemoryFigures } from './memory-probe.ts'
import type { Table } from './report.ts'

const probe = fileURLToPath(new URL('./memory-probe.ts', import.meta.url))
const MiB = (bytes: number) => bytes / 2 ** 20

export async function benchMemory(context: BenchContext): Promise<SectionResult> {
  const rows: Table['rows'][number][] = []
  const samples: Record<string, MemoryFigures> = {}
  for (const name of ['nano', 'small'] as const)
    for (const device of context.devices) {
      const which = device.kind === 'cpu' ? 'cpu' : 'webgpu'
      const index = String(
        context.devices.filter(({ kind }) => (kind === 'cpu') === (device.kind === 'cpu')).indexOf(device),
      )
      const args = [
        '--disable-warning=ExperimentalWarning',
        probe,
        name,
        index,
        which,
        context.quick ? 'quick' : 'full',
      ]
      const { stdout } = await promisify(execFile)(process.execPath, args)
      const figures = JSON.parse(stdout.trim().split('\n').at(-1)!) as MemoryFigures
      samples[`${name}, ${device.name}`] = figures
      const arenas = figures.arenas.map((bytes) => MiB(bytes).toFixed(1)).join(' + ')
      rows.push([
        name,
        device.name,
        figures.parameters / 1e6,
        MiB(figures.parameters * 16),
        arenas,
        MiB(figures.executorBytes),
        MiB(figures.heapUsed),
        MiB(figures.rssBefore),
        MiB(figures.rssPeak),
      ])
    }
  const columns = [
    'model',
    'device',
    'M parameters',
    'weights, gradients, moments MiB',
    'arenas MiB',
    'executor MiB',
    'JS heap MiB',
    'RSS at start MiB',
    'RSS peak MiB',
  ]
  const notes = [
    'After three RL steps with continuations. Arenas in the order of their plans: encoder, sampling step, learner, optimiser. Executor: all regions (KV pool included) and arenas.',
  ]
  return { tables: [{ title: 'Memory', columns, rows, notes }], samples }
}
