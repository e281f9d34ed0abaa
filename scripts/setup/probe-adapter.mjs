// Opens the WebGPU adapter this environment gives, computes on it, prints one line of JSON: its description, or null.
// Runs in a process of its own: a bad driver may crash or hang it. Needs Node >= 22.18 (imports TypeScript).
import { describeAdapter, openWebGpu } from '../../packages/kernels/src/webgpu/adapter.ts'

const SHADER = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 3u * id.x + 1u; }`

async function computes() {
  const gpu = await openWebGpu()
  const { device } = gpu
  const data = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC })
  const back = device.createBuffer({ size: 256, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  const compute = { module: device.createShaderModule({ code: SHADER }) }
  const pipeline = device.createComputePipeline({ layout: 'auto', compute })
  const entries = [{ binding: 0, resource: { buffer: data } }]
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(data, 0, back, 0, 256)
  device.queue.submit([encoder.finish()])
  await back.mapAsync(GPUMapMode.READ)
  const right = new Uint32Array(back.getMappedRange()).every((value, index) => value === 3 * index + 1)
  if (!right) throw new Error('probe: x[i] = 3 i + 1 must come back, got other numbers. Use another driver.')
}

const adapter = await describeAdapter()
if (adapter) await computes()
const line = adapter ? { kind: adapter.kind, name: adapter.name, features: adapter.features } : null
process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0))
