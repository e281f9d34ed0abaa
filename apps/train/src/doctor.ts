// `axpo doctor`: what this machine offers and which device a run would take, as text for people.
// Not here: installing anything (scripts/setup), opening the device for work (@axpo/kernels).
// Units: GB = 1e9 bytes, MiB = 2^20 bytes.
import { availableParallelism, cpus, freemem, release, totalmem } from 'node:os'
import {
  type AdapterDescription,
  chooseDevice,
  type DeviceRequest,
  describeAdapter,
  NoAdapterError,
} from '@axpo/kernels'

/** Smallest modules that use the feature: valid exactly where the engine has it. */
const WASM_PROBES: readonly (readonly [name: string, module: readonly number[]])[] = [
  [
    'SIMD',
    [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  ],
  [
    'relaxed SIMD',
    [
      0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15,
      253, 128, 2, 11,
    ],
  ],
  [
    'threads',
    [
      0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2,
      0, 26, 11,
    ],
  ],
]

/** Limits a training run meets first; `doctor` leaves out those of drawing. */
const SHOWN_LIMITS: readonly (readonly [limit: string, label: string, unit: 'MiB' | 'KiB' | 'B' | ''])[] = [
  ['maxBufferSize', 'buffer', 'MiB'],
  ['maxStorageBufferBindingSize', 'storage binding', 'MiB'],
  ['maxStorageBuffersPerShaderStage', 'storage buffers a shader', ''],
  ['minStorageBufferOffsetAlignment', 'storage offset alignment', 'B'],
  ['maxUniformBufferBindingSize', 'uniform binding', 'KiB'],
  ['maxImmediateSize', 'immediates', 'B'],
  ['maxComputeWorkgroupStorageSize', 'workgroup memory', 'KiB'],
  ['maxComputeInvocationsPerWorkgroup', 'invocations a workgroup', ''],
  ['maxComputeWorkgroupsPerDimension', 'workgroups a dimension', ''],
]

/** What the WASM engine of this process can do. */
export function probeWasm(): Record<string, boolean> {
  return Object.fromEntries(WASM_PROBES.map(([name, module]) => [name, WebAssembly.validate(new Uint8Array(module))]))
}

/** @param request what `--device` says. Resolves to the text; a machine without an adapter is no error here. */
export async function doctor(request: DeviceRequest = 'auto'): Promise<string> {
  const adapter = await describeAdapter()
  const rows: [label: string, value: string][] = [
    [
      'Node',
      `${process.versions.node} (V8 ${process.versions.v8}) on ${process.platform} ${process.arch}, ${release()}`,
    ],
    ['processor', `${cpus()[0]?.model.trim() || 'unnamed'}, ${count(availableParallelism(), 'core')}`],
    ['memory', `${gigabytes(totalmem())} GB, ${gigabytes(freemem())} GB free`],
    [
      'WASM',
      Object.entries(probeWasm())
        .map(([name, has]) => `${name} ${has ? 'yes' : 'NO'}`)
        .join(', '),
    ],
    ...adapterRows(adapter),
    ['device', deviceLine(request, adapter)],
  ]
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${wrap(value, width + 2)}\n`).join('')
}

function adapterRows(adapter: AdapterDescription | null): [string, string][] {
  if (!adapter) {
    return [
      [
        'adapter',
        'none: no Vulkan, Metal or D3D12 driver that Dawn accepts (`npm run axpo -- doctor --device webgpu` brings a software one)',
      ],
    ]
  }
  const subgroup =
    adapter.subgroupMinSize === null ? 'not told' : `${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize} lanes`
  return [
    [
      'adapter',
      `${adapter.name}, ${adapter.kind === 'gpu' ? 'a real GPU' : 'software: runs on the CPU, for checks only'}`,
    ],
    ['subgroups', subgroup],
    ['features', adapter.features.join(', ')],
    ['limits', SHOWN_LIMITS.map(([limit, label, unit]) => `${label} ${shown(adapter.limits[limit], unit)}`).join(', ')],
  ]
}

function deviceLine(request: DeviceRequest, adapter: AdapterDescription | null): string {
  try {
    const choice = chooseDevice(request, adapter)
    return `${choice.device} (--device ${request}): ${choice.reason}`
  } catch (error) {
    if (error instanceof NoAdapterError) return `none (--device ${request}): ${error.message}`
    throw error
  }
}

function shown(value: number | undefined, unit: 'MiB' | 'KiB' | 'B' | ''): string {
  if (value === undefined) return 'not told'
  const divisor = unit === 'MiB' ? 2 ** 20 : unit === 'KiB' ? 2 ** 10 : 1
  return `${Math.floor(value / divisor)}${unit === '' ? '' : ` ${unit}`}`
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1)
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`
}

/** Breaks at spaces to 110 columns, later lines indented. */
function wrap(text: string, indent: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > 110) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}
