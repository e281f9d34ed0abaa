/** All kernels, in the order of their ids in the CPU build (assembly/index.ts has the same order), and the op builders. */

import { adamwKernel, normFinish, squareSum } from './adamw/adamw.ts'
import { accumulate, addKernel } from './add/add.ts'
import { attentionDelta, attentionDkv, attentionDq, attentionKernel } from './attention/attention.ts'
import { columnSum } from './column-sum/column-sum.ts'
import type { KernelSpec } from './definition.ts'
import { fillKernel } from './fill/fill.ts'
import { gatherKernel, gatherWeighted } from './gather/gather.ts'
import { geluBack, geluKernel } from './gelu/gelu.ts'
import { gemm, gemmBias } from './gemm/gemm.ts'
import { layerNormDw, layerNormDx, layerNormKernel } from './layer-norm/layer-norm.ts'
import { logprobBackTile, logprobFinish, logprobTile } from './logprob/logprob.ts'
import { rmsNormDw, rmsNormDx, rmsNormKernel } from './rms-norm/rms-norm.ts'
import { ropeKernel } from './rope/rope.ts'
import { sampleTile } from './sample/sample.ts'
import { scatterRowsKernel } from './scatter-rows/scatter-rows.ts'
import { swigluBack, swigluKernel } from './swiglu/swiglu.ts'

export const kernels: readonly KernelSpec[] = [
  gemm,
  gemmBias,
  rmsNormKernel,
  rmsNormDx,
  rmsNormDw,
  layerNormKernel,
  layerNormDx,
  layerNormDw,
  ropeKernel,
  attentionKernel,
  attentionDelta,
  attentionDq,
  attentionDkv,
  swigluKernel,
  swigluBack,
  geluKernel,
  geluBack,
  addKernel,
  accumulate,
  gatherKernel,
  gatherWeighted,
  scatterRowsKernel,
  logprobTile,
  logprobFinish,
  logprobBackTile,
  sampleTile,
  fillKernel,
  columnSum,
  squareSum,
  normFinish,
  adamwKernel,
]

export { norm, type OptimiserOptions, optimiser, type ParameterGroup } from './adamw/adamw.ts'
export { add } from './add/add.ts'
export { type AttentionOptions, attention } from './attention/attention.ts'
export { fill } from './fill/fill.ts'
export { type GatherOptions, gather } from './gather/gather.ts'
export { gelu } from './gelu/gelu.ts'
export { gemmMode, linear } from './gemm/gemm.ts'
export { layerNorm } from './layer-norm/layer-norm.ts'
export { type LogprobOptions, logprob } from './logprob/logprob.ts'
export { rmsNorm } from './rms-norm/rms-norm.ts'
export { rope } from './rope/rope.ts'
export { type SampleOptions, sample } from './sample/sample.ts'
export { scatterRows } from './scatter-rows/scatter-rows.ts'
export { swiglu } from './swiglu/swiglu.ts'
