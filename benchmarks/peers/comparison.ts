/** Who was measured on which work, as tables: a line for each contender and the best of ours against the best of each peer. */
import type { Table } from '../report.ts'
import { median } from '../timing.ts'

/** One measurement: this many tokens took this long. */
export interface Sample {
  readonly ms: number
  readonly tokens: number
}

export interface Measured {
  readonly who: string
  readonly ours: boolean
  /** 0: it runs on a GPU. */
  readonly threads: number
  /** What else sets it apart from the same contender's other lines. */
  readonly how: string
  readonly samples: readonly Sample[]
}

export interface Work {
  readonly name: string
  readonly measured: readonly Measured[]
}

const rate = ({ ms, tokens }: Sample) => (tokens / ms) * 1000
const rates = ({ samples }: Measured) => samples.map(rate)
const medianRate = (one: Measured) => median(rates(one))

const best = (list: readonly Measured[]): Measured | undefined =>
  [...list].sort((a, b) => medianRate(b) - medianRate(a))[0]

/** Median over rounds of how many times a's rate is b's: in a round both were measured one after the other. */
function timesAsFast(a: Measured, b: Measured): number {
  const [of, against] = [rates(a), rates(b)]
  return median(of.map((value, i) => value / against[i]!))
}

const threadsOf = ({ threads }: Measured) => (threads === 0 ? '-' : String(threads))
const describe = (one: Measured) =>
  [one.threads === 0 ? '' : `${threadsOf(one)} thr.`, one.how].filter(Boolean).join(', ')

function linesOf({ name, measured }: Work): (string | number)[][] {
  return measured.map((one) => {
    const ours = measured.find((other) => other.ours && other.threads === one.threads)
    const against = one.ours || !ours ? '-' : timesAsFast(ours, one)
    return [name, one.who, threadsOf(one), one.how, median(one.samples.map(({ ms }) => ms)), medianRate(one), against]
  })
}

function bestLines({ name, measured }: Work): (string | number)[][] {
  const ours = best(measured.filter((one) => one.ours))
  const peers = [...new Set(measured.filter((one) => !one.ours).map(({ who }) => who))]
  return peers.flatMap((who) => {
    const peer = best(measured.filter((one) => one.who === who))
    if (!ours || !peer) return []
    return [[name, who, describe(ours), describe(peer), medianRate(ours), medianRate(peer), timesAsFast(ours, peer)]]
  })
}

export function comparisonTables(title: string, works: readonly Work[], notes: readonly string[]): Table[] {
  return [
    {
      title,
      columns: ['work', 'peer', 'our best', "peer's best", 'ours tokens/s', 'peer tokens/s', 'ours is times as fast'],
      rows: works.flatMap(bestLines),
      notes,
    },
    {
      title: `${title}: all values`,
      columns: ['work', 'who', 'threads', 'how', 'ms', 'tokens/s', 'ours, same threads, is times as fast'],
      rows: works.flatMap(linesOf),
      notes: ['Medians of the rounds; a ratio is the median of the ratios of each round.'],
    },
  ]
}
