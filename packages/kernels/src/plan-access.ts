/** The rules of reading, writing and running a loaded plan, one wording for every executor. Not here: where the bytes lie (each executor's loaded-plan.ts). */
import type { Live } from './executor.ts'
import type { Tensor } from './graph.ts'
import type { Placement, Plan } from './plan.ts'

/** Where `data` goes; throws when it does not fit or is of the other type. */
export function checkWrite(
  plan: Plan,
  tensor: Tensor,
  data: Float32Array | Int32Array,
  elementOffset: number,
): Placement {
  const placement = plan.place(tensor)
  if ((elementOffset + data.length) * 4 > placement.byteLength)
    throw new Error(
      `write: ${tensor.name} holds ${placement.byteLength / 4} elements, got ${data.length} at ${elementOffset}. Write what it was planned for.`,
    )
  if (data instanceof Int32Array !== (tensor.dtype === 'i32'))
    throw new Error(`write: ${tensor.name} is ${tensor.dtype}, got ${data.constructor.name}. Convert it.`)
  return placement
}

/** Where to read, and how many elements: `rows` of them, or all. */
export function checkRead(
  plan: Plan,
  tensor: Tensor,
  rows: number | undefined,
): { readonly placement: Placement; readonly length: number } {
  const placement = plan.place(tensor)
  const length = rows === undefined ? placement.byteLength / 4 : rows * tensor.width
  if (length * 4 > placement.byteLength)
    throw new Error(`read: ${tensor.name} holds ${placement.byteLength / 4} elements, got ${rows} rows. Read fewer.`)
  return { placement, length }
}

/** The calls of a phase. `capacities` are the plan's, as entries: nothing is allocated here. */
export function checkRun(
  plan: Plan,
  capacities: readonly (readonly [string, number])[],
  phase: string,
  live: Live,
): Plan['phases'][string] {
  const range = plan.phases[phase]
  if (!range)
    throw new Error(`run: no phase ${phase}, this plan has ${Object.keys(plan.phases).join(', ')}. Name one of these.`)
  for (const [name, capacity] of capacities)
    if ((live[name] ?? 0) > capacity)
      throw new Error(`run: ${name} is ${live[name]}, planned for at most ${capacity}. Plan for more, or run less.`)
  return range
}
