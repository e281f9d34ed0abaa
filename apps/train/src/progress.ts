/** Progress of long work on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere. Not here: results (stdout). */

export interface Progress {
  update(done: number): void
  /** Prints a line above the bar. */
  line(text: string): void
  end(): void
}

/** Between two lines where there is no terminal. */
const quietIntervalMs = 15_000
const barIntervalMs = 100

export function formatSeconds(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  if (s < 60) return `${s} s`
  return s < 3600
    ? `${Math.floor(s / 60)} min ${s % 60} s`
    : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}

export function progressLine(label: string, done: number, total: number, unit: string, seconds: number): string {
  const rate = seconds > 0 ? done / seconds : 0
  const left = rate > 0 ? formatSeconds((total - done) / rate) : '?'
  const filled = Math.round((20 * done) / Math.max(1, total))
  const shown = rate >= 10 ? rate.toFixed(0) : rate.toFixed(2)
  return `${label} [${'#'.repeat(filled)}${'.'.repeat(20 - filled)}] ${done}/${total} ${unit}, ${shown} a second, ${left} left`
}

export function createProgress(
  label: string,
  total: number,
  unit: string,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const began = performance.now()
  const terminal = stream.isTTY === true
  let last = terminal ? Number.NEGATIVE_INFINITY : began
  let shown = ''
  const clear = () => {
    if (terminal && shown) stream.write('\r\x1b[K')
  }
  return {
    update(done) {
      const now = performance.now()
      if (now - last < (terminal ? barIntervalMs : quietIntervalMs)) return
      last = now
      clear()
      shown = progressLine(label, done, total, unit, (now - began) / 1000)
      stream.write(terminal ? shown : `${shown}\n`)
    },
    line(text) {
      clear()
      stream.write(`${text}\n`)
      if (terminal) stream.write(shown)
    },
    end() {
      clear()
      shown = ''
    },
  }
}
