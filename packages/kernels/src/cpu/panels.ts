/**
 * Copies of a plan's weights in the panels its products read (packWeight of ops/gemm/gemm.as.ts), for plans that run many times between two writes of the
 * weights: with few rows, packing anew in every call takes as long as the product. The same numbers, so the same bits. Byte addresses.
 */
import type { Placement, Plan, PlanStep } from '../plan.ts'

/** Larger models keep the rest of their weights as they are. */
const MOST_BYTES = 64 * 2 ** 20

interface Weight {
  readonly region: string
  readonly byteOffset: number
  readonly N: number
  readonly K: number
  /** Where its panels lie behind the first. */
  readonly panels: number
  /** Of the region, when it was copied. */
  version: number
}

export interface PanelSource {
  take(what: string, byteLength: number): number
  /** Grows with every write of a region. */
  version(region: string): number
  /** Makes the panels of the weight [N, K] at a placement. */
  packWeight(weight: Placement, N: number, K: number, panels: number): void
}

export class Panels {
  readonly byteOffset: number
  readonly byteLength: number
  /** By index of the step: where its product finds its panels. */
  readonly ofStep = new Map<number, number>()
  private readonly source: PanelSource
  private readonly weights: Weight[] = []

  constructor(source: PanelSource, plan: Plan) {
    this.source = source
    const written = writtenRegions(plan.steps)
    const found = new Map<string, Weight>()
    let byteLength = 0
    const steps: { readonly index: number; readonly weight: Weight }[] = []
    for (const [index, step] of plan.steps.entries()) {
      const shape = weightOf(step)
      if (!shape || written.has(shape.region)) continue
      const key = `${shape.region} ${shape.byteOffset} ${shape.N} ${shape.K}`
      let weight = found.get(key)
      if (!weight) {
        const bytes = Math.ceil(shape.N / 8) * 8 * shape.K * 4
        if (byteLength + bytes > MOST_BYTES) continue
        weight = { ...shape, panels: byteLength, version: -1 }
        byteLength += bytes
        found.set(key, weight)
        this.weights.push(weight)
      }
      steps.push({ index, weight })
    }
    this.byteLength = byteLength
    this.byteOffset = byteLength > 0 ? source.take('panels of weights', byteLength) : 0
    for (const { index, weight } of steps) this.ofStep.set(index, this.byteOffset + weight.panels)
  }

  /** Copies what was written since it was copied last. */
  refresh(): void {
    for (const weight of this.weights) {
      const version = this.source.version(weight.region)
      if (version === weight.version) continue
      const { region, byteOffset, N, K } = weight
      this.source.packWeight({ region, byteOffset, byteLength: N * K * 4 }, N, K, this.byteOffset + weight.panels)
      weight.version = version
    }
  }
}

export function writtenRegions(steps: readonly PlanStep[]): Set<string> {
  const regions = new Set<string>()
  for (const { kernel, bindings } of steps)
    for (const [i, { region }] of bindings.entries())
      if (region !== null && kernel.bindings[i]!.startsWith('+')) regions.add(region)
  return regions
}

/** The B of a product with B[N, K]^T that lies in a region. */
function weightOf({ kernel, bindings, words }: PlanStep): Omit<Weight, 'panels' | 'version'> | null {
  const place = bindings[kernel.bindings.indexOf('b')]
  if (!kernel.name.startsWith('gemm') || !place || place.region === null) return null
  const fixed = (wanted: string) => {
    const word = words.find(({ name }) => name === wanted)?.word
    return word && 'i' in word ? word.i : -1
  }
  const [N, K, mode] = [fixed('N'), fixed('K'), fixed('mode')]
  return mode === 0 && N > 0 && K > 0 ? { region: place.region, byteOffset: place.byteOffset, N, K } : null
}
