/** The soak (benchmarks/soak.ts) at its quick size on both devices, and that its verdict sees what grows. The full size is a benchmark. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { allowances, type Figure, judge, type MemoryPoint } from '../benchmarks/soak-verdict.ts'

const soak = fileURLToPath(new URL('../benchmarks/soak.ts', import.meta.url))
const none = process.env.AXPO_ADAPTER === 'none'
if (none) console.warn('soak: WebGPU SKIPPED, AXPO_ADAPTER=none says that this machine has no WebGPU adapter.')

function run(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [soak, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    )
  })
}

/** 20 points of a run that wavers but stays where it is. */
function wavering(change: (point: MemoryPoint, index: number) => Partial<MemoryPoint> = () => ({})): MemoryPoint[] {
  return Array.from({ length: 20 }, (_, i) => {
    const noise = ((i * 7919) % 13) / 13
    const steps = (i + 1) * 100
    const flat = { wasm: 36, executor: 35.3, allocations: 14, arrayBuffers: 0.2, external: 9 + noise * 0.1 }
    const point = { steps, tokens: steps * 50, heap: 13 + noise * 0.2, rss: 160 + noise * 3, ...flat }
    return { ...point, ...change(point, i) }
  })
}

const growing = (points: readonly MemoryPoint[]) =>
  judge(points, 5).flatMap(({ verdict }, i) => (verdict === 'GROWS' ? [allowances[i]!.figure] : []))

describe('the verdict', () => {
  it('noise, a warm-up and a single point that stands out are flat', () => {
    expect(growing(wavering())).toEqual([])
    expect(growing(wavering(({ heap, rss }, i) => (i < 5 ? { heap: heap - 6 + i, rss: rss / 2 } : {})))).toEqual([])
    expect(growing(wavering(({ rss }, i) => (i === 12 ? { rss: rss + 90 } : {})))).toEqual([])
  })

  it.each<[string, Figure, (point: MemoryPoint) => Partial<MemoryPoint>]>([
    ['1 KiB of JS heap a training step', 'heap', ({ heap, steps }) => ({ heap: heap + steps / 1024 })],
    ['16 KiB outside of it', 'rss', ({ rss, steps }) => ({ rss: rss + steps / 64 })],
    ['a kept array of 1 KiB a step', 'arrayBuffers', ({ steps }) => ({ arrayBuffers: steps / 1024 })],
    [
      'a buffer of the executor every 400 steps',
      'allocations',
      ({ steps }) => ({ allocations: Math.floor(steps / 400) }),
    ],
    ['pages of WebAssembly', 'wasm', ({ steps }) => ({ wasm: 36 + Math.floor(steps / 500) / 16 })],
  ])('%s grows', (_, figure, change) => {
    expect(growing(wavering(change))).toEqual([figure])
  })

  it('needs points', () => {
    expect(() => judge(wavering().slice(0, 9), 5)).toThrow('at least 5 points after the warm-up, got 4')
  })
})

describe('the soak', { timeout: 120_000 }, () => {
  it.each(['cpu', ...(none ? [] : ['webgpu'])])('--quick on %s: what the project holds is flat', async (device) => {
    const { code, output } = await run('--quick', '--device', device)
    expect(code, output).toBe(0)
    for (const name of ['executor buffers MiB', 'allocations', 'WebAssembly MiB', 'array buffers MiB', 'external MiB'])
      expect(output).toMatch(new RegExp(`${name} .* flat`))
    expect(output).toMatch(/\n +12 +\d{3} /)
  })

  it('refuses too little', async () => {
    const { code, output } = await run('--steps', '3')
    expect([code, output]).toEqual([
      1,
      expect.stringContaining('soak: --steps must be an integer of at least 20, got 3'),
    ])
  })
})
