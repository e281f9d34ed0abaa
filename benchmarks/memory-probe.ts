/** Child of memory.ts: one model on one device in a process of its own; prints what it holds as JSON. Arguments: config, device index, all|cpu|webgpu, quick. */
import type { Executor, Plan } from '../packages/kernels/src/index.ts'
import { listDevices } from './devices.ts'
import { runRlStep, variedLength } from './rl-step.ts'
import { type ConfigName, loadWorkload, openModel } from './workload.ts'

export interface MemoryFigures {
  readonly parameters: number
  /** Bytes of the arenas of all plans loaded, in order. */
  readonly arenas: readonly number[]
  /** Regions and arenas, after sampler and learner are made. */
  readonly executorBytes: number
  readonly rssBefore: number
  readonly rssAfter: number
  readonly rssPeak: number
  readonly heapUsed: number
}

const [name, index, which, quick] = process.argv.slice(2) as [ConfigName, string, 'all' | 'cpu' | 'webgpu', string]
const rssBefore = process.memoryUsage.rss()
const device = (await listDevices(which)).devices[Number(index)]!
const workload = await loadWorkload(name, device.kind, { quick: quick === 'quick' })
const executor: Executor = await device.open()
const arenas: number[] = []
const load = executor.load.bind(executor)
executor.load = (plan: Plan) => {
  arenas.push(plan.arenaByteLength)
  return load(plan)
}
const model = openModel(workload, executor)
for (let step = 0; step < 3; step++)
  await runRlStep(model, workload, { shared: true, continuations: 0.25, lengthOf: variedLength }, step)
const { rss, heapUsed } = process.memoryUsage()
const figures: MemoryFigures = {
  parameters: model.parameterList.parameterCount,
  arenas,
  executorBytes: executor.byteLength(),
  rssBefore,
  rssAfter: rss,
  rssPeak: process.resourceUsage().maxRSS * 1024,
  heapUsed,
}
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0))
