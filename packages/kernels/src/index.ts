/** Op list, gradients, plans and executors. */
export * from './autodiff.ts'
export * from './cpu/executor.ts'
export * from './executor.ts'
export * from './graph.ts'
export * from './ops/definition.ts'
export * from './ops/index.ts'
export * from './plan.ts'
export * from './webgpu/adapter.ts'
