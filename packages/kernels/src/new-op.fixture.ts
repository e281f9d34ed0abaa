/** Files of an op that this package lacks, relu(x)^2: what somebody who adds an op for both back-ends writes, all in one folder. */

const wgsl = (name: string, bindings: readonly string[], body: string) => `
struct Words { n: u32 }
@group(0) @binding(0) var<uniform> words: Words;
${bindings.map((binding, i) => `@group(0) @binding(${i + 1}) var<storage, read_write> ${binding}: array<f32>;`).join('\n')}

@compute @workgroup_size(64)
fn main_${name}(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.x + group.y * groups.x) * 64u + lane;
  if (i >= words.n) { return; }
  let v = select(x[i], 0.0, x[i] < 0.0);
  ${body}
}
`

export const newOp: Readonly<Record<string, string>> = {
  'relu-squared.ts': `
import type { Graph, Tensor } from '../../graph.ts'
import { flatWorkgroups, kernel, type OpDefinition, sizeWord, type WordView } from '../definition.ts'

const flat = (w: WordView) => flatWorkgroups(w.n!, 64)
export const reluSquaredKernel = kernel(import.meta.url, 'relu_squared', 'x +y', 'n', flat)
export const reluSquaredBack = kernel(import.meta.url, 'relu_squared_back', 'x dy +dx', 'n', flat)

const reluSquaredOp: OpDefinition = {
  name: 'relu_squared',
  kernels: [reluSquaredKernel, reluSquaredBack],
  forward({ inputs: [x], outputs: [y] }, emit) {
    emit(reluSquaredKernel, { x: x!, y: y! }, { n: sizeWord(y!) })
  },
  backward({ inputs: [x], outputs: [y] }, context) {
    const dy = context.outputGradient(y!)
    const dx = dy && context.inputGradientOnce(x!)
    if (dy && dx) context.emit(reluSquaredBack, { x: x!, dy, dx }, { n: sizeWord(y!) })
  },
}

/** y = max(x, 0)^2. */
export function reluSquared(g: Graph, x: Tensor): Tensor {
  const y = g.activation('relu squared', x.rows, x.width)
  g.append(reluSquaredOp, [x], [y])
  return y
}
`,
  'relu-squared.as.ts': `
import { at, one, pointer, put } from "../../../assembly/math";

function relu(x: v128): v128 { return v128.andnot(x, f32x4.lt(x, f32x4.splat(0))); }

export function reluSquared(job: usize, first: i32, last: i32): void {
  for (let i = first; i < last; i++) {
    const x = relu(one(pointer(job, 0), i));
    put(pointer(job, 1), i, f32x4.mul(x, x));
  }
}

export function reluSquaredBack(job: usize, first: i32, last: i32): void {
  for (let i = first; i < last; i++)
    put(pointer(job, 2), i, f32x4.mul(one(pointer(job, 1), i), f32x4.mul(f32x4.splat(2), relu(one(pointer(job, 0), i)))));
}
`,
  'relu-squared.wgsl': wgsl('relu_squared', ['x', 'y'], 'y[i] = v * v;'),
  'relu-squared-back.wgsl': wgsl('relu_squared_back', ['x', 'dy', 'dx'], 'dx[i] = dy[i] * 2.0 * v;'),
  'relu-squared.reference.ts': `
export function reluSquaredReference(x: Float64Array): Float64Array {
  return x.map((v) => (v < 0 ? 0 : v * v))
}
`,
  'relu-squared.conformance.ts': `
import type { ConformanceCase } from '../../conformance.ts'
import { reluSquaredReference } from './relu-squared.reference.ts'
import { reluSquared } from './relu-squared.ts'

export const cases: readonly ConformanceCase[] = [
  {
    name: 'relu squared',
    activations: [13],
    parameters: [],
    build: (g, [x]) => reluSquared(g, x!),
    reference:
      () =>
      ([x]) =>
        reluSquaredReference(x!),
  },
]
`,
}

/** Run in a copy of the package: its cases on the executors named, found by the suite. Prints what the suite measured on each. */
export const runNewOp = `
import { loadCases, runCase } from './src/conformance.ts'
import { createCpuExecutor, createWebGpuExecutor, kernels, reluSquared } from './src/index.ts'

const create = { cpu: createCpuExecutor, webgpu: createWebGpuExecutor }
const item = (await loadCases()).find(({ name }) => name === 'relu squared')
const results = []
for (const name of process.argv.slice(2)) {
  const executor = await create[name]()
  const { valueError, gradientError, faults } = await runCase(executor, item, 37)
  results.push({ kind: executor.kind, valueError, gradientError, faults })
  await executor.close()
}
process.stdout.write(JSON.stringify({ kernels: kernels.length, builder: reluSquared.name, results }), () => process.exit(0))
`
