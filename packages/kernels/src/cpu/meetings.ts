/** After which calls of a phase all threads must meet: where the next call touches what a call since the last meeting writes, or writes what it touches. */
import type { PlanStep } from '../plan.ts'

interface Access {
  readonly region: string | null
  readonly start: number
  readonly end: number
  readonly written: boolean
}

/** One entry a call; the last one is true. */
export function meetings(steps: readonly PlanStep[]): boolean[] {
  const meet = steps.map(() => true)
  let open: Access[] = []
  for (const [i, step] of steps.entries()) {
    const own = accesses(step)
    const free = i > 0 && !own.some((a) => open.some((b) => conflict(a, b)))
    if (free) meet[i - 1] = false
    open = free ? [...open, ...own] : own
  }
  return meet
}

function accesses({ kernel, bindings }: PlanStep): Access[] {
  return bindings.map(({ region, byteOffset, byteLength }, i) => ({
    region,
    start: byteOffset,
    end: byteOffset + byteLength,
    written: kernel.bindings[i]!.startsWith('+'),
  }))
}

function conflict(a: Access, b: Access): boolean {
  return (a.written || b.written) && a.region === b.region && a.start < b.end && b.start < a.end
}
