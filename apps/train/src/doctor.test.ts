import { describeAdapter } from '@axpo/kernels'
import { expect, test } from 'vitest'
import { doctor, probeWasm } from './doctor.ts'

test('the engine that runs the CPU kernels has SIMD, relaxed SIMD and threads', () => {
  expect(probeWasm()).toEqual({ SIMD: true, 'relaxed SIMD': true, threads: true })
})

test('names Node, cores, memory, WASM, adapter and the chosen device with its reason', async () => {
  const text = await doctor()
  expect(text).toContain(`${process.versions.node} (V8`)
  for (const label of ['processor', 'memory', 'WASM', 'adapter']) expect(text).toMatch(new RegExp(`^${label} `, 'm'))
  expect(text).toMatch(/^device +(cpu|webgpu) \(--device auto\): \S/m)
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
})

test('shows features and limits where there is an adapter, and the repair where there is none', async () => {
  const adapter = await describeAdapter()
  const text = await doctor('webgpu')
  if (adapter) {
    expect(text).toContain(adapter.name.split(' ')[0])
    expect(text).toMatch(/storage binding \d+ MiB/)
    expect(text).toMatch(/^device +webgpu \(--device webgpu\): asked for/m)
  } else {
    expect(text).toMatch(/^adapter +none:/m)
    expect(text).toMatch(/^device +none \(--device webgpu\): .*--device/m)
  }
})

test('cpu is taken when asked for', async () => {
  expect(await doctor('cpu')).toContain('cpu (--device cpu): asked for')
})
