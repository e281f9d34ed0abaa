/** All kernels, in the order of their ids in the CPU build, and all of the ops. Written by scripts/lists.mjs (npm run build) from the folders of src/ops: change those. */

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
  adamwKernel,
  normFinish,
  squareSum,
  accumulate,
  addKernel,
  attentionDelta,
  attentionDkv,
  attentionDq,
  attentionKernel,
  columnSum,
  fillKernel,
  gatherKernel,
  gatherWeighted,
  geluBack,
  geluKernel,
  gemm,
  gemmBias,
  layerNormDw,
  layerNormDx,
  layerNormKernel,
  logprobBackTile,
  logprobFinish,
  logprobTile,
  rmsNormDw,
  rmsNormDx,
  rmsNormKernel,
  ropeKernel,
  sampleTile,
  scatterRowsKernel,
  swigluBack,
  swigluKernel,
]

export * from './adamw/adamw.ts'
export * from './add/add.ts'
export * from './attention/attention.ts'
export * from './column-sum/column-sum.ts'
export * from './fill/fill.ts'
export * from './gather/gather.ts'
export * from './gelu/gelu.ts'
export * from './gemm/gemm.ts'
export * from './layer-norm/layer-norm.ts'
export * from './logprob/logprob.ts'
export * from './rms-norm/rms-norm.ts'
export * from './rope/rope.ts'
export * from './sample/sample.ts'
export * from './scatter-rows/scatter-rows.ts'
export * from './swiglu/swiglu.ts'
