/** How busy others keep the machine: figures taken beside other work are of that work too. Units: processors. */
import { cpus, loadavg, platform } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Load {
  /** Processors busy with others, over two seconds in which this program slept. Null where the system does not tell. */
  readonly others: number | null
  /** The system's load average of the last minute, this program included. Null on Windows, which has none. */
  readonly average: number | null
}

/** More than this and figures are not written. */
export const mostOthers = 0.5
const WATCH_MS = 2000

function ticks(): { busy: number; all: number } {
  let [busy, all] = [0, 0]
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq
    busy += used
    all += used + times.idle
  }
  return { busy, all }
}

export const loadAverage = (): number | null => (platform() === 'win32' ? null : loadavg()[0]!)

export async function readLoad(): Promise<Load> {
  const before = ticks()
  const own = process.cpuUsage()
  await sleep(WATCH_MS)
  const after = ticks()
  const { user, system } = process.cpuUsage(own)
  const all = after.all - before.all
  const busy = ((after.busy - before.busy) / all) * cpus().length - (user + system) / 1000 / WATCH_MS
  return { others: all > 0 ? Math.max(0, busy) : null, average: loadAverage() }
}

/** Throws where figures would be written that others have a part in. `busy`: written all the same, and said. */
export function checkQuiet({ others, average }: Load, busy: boolean): void {
  const load = others ?? average ?? 0
  if (busy || load <= mostOthers) return
  throw new Error(
    `bench: --write needs a quiet machine, with others keeping at most ${mostOthers} processors busy, got ${load.toFixed(2)}. End them and wait, or add --busy to write it all the same: the report then says so.`,
  )
}

const shown = (value: number | null) => (value === null ? 'not known' : value.toFixed(2))

/** A line of a report. */
export function describeLoad(start: Load, end: number | null): string {
  const words = `Load: others kept ${shown(start.others)} processors busy at the start; load average ${shown(start.average)} at the start, ${shown(end)} at the end (this program included).`
  return (start.others ?? 0) > mostOthers ? `${words} Not a quiet machine: the figures are of others' work too.` : words
}
