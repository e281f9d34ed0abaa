// Kernels by id, their chunks and their calls. Written by scripts/lists.mjs (npm run build) from the folders of src/ops: change those.
import { divideUp, word } from "./math";
import { adamw, normFinish, normChunks, squareSum } from "../src/ops/adamw/adamw.as";
import { accumulate, add } from "../src/ops/add/add.as";
import { attentionDelta, attentionChunks, attentionDq, attention } from "../src/ops/attention/attention.as";
import { attentionDkv } from "../src/ops/attention/attention-dkv.as";
import { columnSum } from "../src/ops/column-sum/column-sum.as";
import { fill } from "../src/ops/fill/fill.as";
import { gather, gatherWeighted } from "../src/ops/gather/gather.as";
import { geluBack, gelu } from "../src/ops/gelu/gelu.as";
import { gemm, gemmChunks, gemmBias } from "../src/ops/gemm/gemm.as";
import { layerNormDw, layerNormDx, layerNorm } from "../src/ops/layer-norm/layer-norm.as";
import { logprobBackTile, logprobFinish, logprobTile } from "../src/ops/logprob/logprob.as";
import { rmsNormDw, rmsNormDx, rmsNorm } from "../src/ops/rms-norm/rms-norm.as";
import { rope } from "../src/ops/rope/rope.as";
import { sampleTile } from "../src/ops/sample/sample.as";
import { scatterRows } from "../src/ops/scatter-rows/scatter-rows.as";
import { swigluBack, swiglu } from "../src/ops/swiglu/swiglu.as";

/** listNumber of the kernels, so that the executor knows a build of another list. */
export const kernelList: i32 = 1784039317;

export function chunks(job: usize): i32 {
  switch (load<i32>(job)) {
    case 0: return divideUp(word(job, 0), 4096);
    case 1: return normChunks();
    case 2: return divideUp(word(job, 0), 4096);
    case 3: return divideUp(word(job, 0), 4096);
    case 4: return divideUp(word(job, 0), 4096);
    case 5: return divideUp(word(job, 0), 4);
    case 6: return attentionChunks(job);
    case 7: return attentionChunks(job);
    case 8: return attentionChunks(job);
    case 9: return divideUp(word(job, 1), 64);
    case 10: return divideUp(word(job, 0), 4096);
    case 11: return divideUp(word(job, 0), 16);
    case 12: return divideUp(word(job, 0), 16);
    case 13: return divideUp(word(job, 0), 4096);
    case 14: return divideUp(word(job, 0), 4096);
    case 15: return gemmChunks(job);
    case 16: return gemmChunks(job);
    case 17: return divideUp(word(job, 1), 64);
    case 18: return divideUp(word(job, 0), 16);
    case 19: return divideUp(word(job, 0), 16);
    case 20: return divideUp(word(job, 0), 16);
    case 21: return divideUp(word(job, 0), 16);
    case 22: return divideUp(word(job, 0), 16);
    case 23: return divideUp(word(job, 1), 64);
    case 24: return divideUp(word(job, 0), 16);
    case 25: return divideUp(word(job, 0), 16);
    case 26: return divideUp(word(job, 0), 16);
    case 27: return divideUp(word(job, 0), 4);
    case 28: return divideUp(word(job, 0), 16);
    case 29: return divideUp(word(job, 0), 4096);
    case 30: return divideUp(word(job, 0), 4096);
    default: return unreachable();
  }
}

export function execute(job: usize, chunk: i32, scratch: usize): void {
  switch (load<i32>(job)) {
    case 0: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); adamw(job, first, last); break; }
    case 1: normFinish(job); break;
    case 2: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); squareSum(job, first, last); break; }
    case 3: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); accumulate(job, first, last); break; }
    case 4: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); add(job, first, last); break; }
    case 5: { const first = chunk * 4, last = min(word(job, 0), first + 4); attentionDelta(job, first, last); break; }
    case 6: attentionDkv(job, chunk, scratch); break;
    case 7: attentionDq(job, chunk, scratch); break;
    case 8: attention(job, chunk, scratch); break;
    case 9: { const first = chunk * 64, last = min(word(job, 1), first + 64); columnSum(job, first, last); break; }
    case 10: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); fill(job, first, last); break; }
    case 11: { const first = chunk * 16, last = min(word(job, 0), first + 16); gather(job, first, last); break; }
    case 12: { const first = chunk * 16, last = min(word(job, 0), first + 16); gatherWeighted(job, first, last); break; }
    case 13: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); geluBack(job, first, last); break; }
    case 14: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); gelu(job, first, last); break; }
    case 15: gemm(job, chunk, scratch); break;
    case 16: gemmBias(job, chunk, scratch); break;
    case 17: { const first = chunk * 64, last = min(word(job, 1), first + 64); layerNormDw(job, first, last); break; }
    case 18: { const first = chunk * 16, last = min(word(job, 0), first + 16); layerNormDx(job, first, last); break; }
    case 19: { const first = chunk * 16, last = min(word(job, 0), first + 16); layerNorm(job, first, last); break; }
    case 20: { const first = chunk * 16, last = min(word(job, 0), first + 16); logprobBackTile(job, first, last); break; }
    case 21: { const first = chunk * 16, last = min(word(job, 0), first + 16); logprobFinish(job, first, last); break; }
    case 22: { const first = chunk * 16, last = min(word(job, 0), first + 16); logprobTile(job, first, last); break; }
    case 23: { const first = chunk * 64, last = min(word(job, 1), first + 64); rmsNormDw(job, first, last); break; }
    case 24: { const first = chunk * 16, last = min(word(job, 0), first + 16); rmsNormDx(job, first, last); break; }
    case 25: { const first = chunk * 16, last = min(word(job, 0), first + 16); rmsNorm(job, first, last); break; }
    case 26: { const first = chunk * 16, last = min(word(job, 0), first + 16); rope(job, first, last); break; }
    case 27: { const first = chunk * 4, last = min(word(job, 0), first + 4); sampleTile(job, first, last); break; }
    case 28: { const first = chunk * 16, last = min(word(job, 0), first + 16); scatterRows(job, first, last); break; }
    case 29: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); swigluBack(job, first, last); break; }
    case 30: { const first = chunk * 4096, last = min(word(job, 0), first + 4096); swiglu(job, first, last); break; }
    default: unreachable();
  }
}
