/**
 * Which rows of the feature pool hold which image (by hash): first fit, least recently used images leave. Host bookkeeping only.
 */

interface Held {
  readonly start: number
  readonly count: number
  pins: number
  lastUse: number
}

export class FeaturePool {
  readonly rowCount: number
  private readonly held = new Map<string, Held>()
  private clock = 0

  constructor(rowCount: number) {
    this.rowCount = rowCount
  }

  clear(): void {
    this.held.clear()
  }

  /** First row of an image already there (now pinned), or undefined. */
  pin(sha256: string): number | undefined {
    const entry = this.held.get(sha256)
    if (!entry) return undefined
    entry.pins++
    entry.lastUse = ++this.clock
    return entry.start
  }

  unpin(sha256: string): void {
    const entry = this.held.get(sha256)
    if (entry) entry.pins--
  }

  /** Room for a new image, pinned; undefined when pinned images leave none. */
  place(sha256: string, count: number): number | undefined {
    for (;;) {
      const start = this.firstFit(count)
      if (start !== undefined) {
        this.held.set(sha256, { start, count, pins: 1, lastUse: ++this.clock })
        return start
      }
      let oldest: string | undefined
      for (const [name, entry] of this.held)
        if (entry.pins === 0 && (oldest === undefined || entry.lastUse < this.held.get(oldest)!.lastUse)) oldest = name
      if (oldest === undefined) return undefined
      this.held.delete(oldest)
    }
  }

  private firstFit(count: number): number | undefined {
    let at = 0
    for (const entry of [...this.held.values()].sort((a, b) => a.start - b.start)) {
      if (entry.start - at >= count) return at
      at = entry.start + entry.count
    }
    return this.rowCount - at >= count ? at : undefined
  }
}
