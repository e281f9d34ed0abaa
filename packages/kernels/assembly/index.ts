// CPU core: dispatch of kernel chunks, and the loop of the threads over a job list. Ids are the order of `kernels` in src/ops/index.ts.
// Control record (i32): [0] generation, [1] job pointer, [2] job count, [3] threads, [4] arrivals (never reset), [5] stop,
// [6] a thread has failed, [7] index of the job begun last, [8] seconds to wait for a thread before it counts as dead (0: for ever).
import { divideUp, setThreads, word } from "./math";
import { accumulate, add } from "../src/ops/add/add.as";
import { adamw, normFinish, squareSum } from "../src/ops/adamw/adamw.as";
import { attention, attentionDelta, attentionDq } from "../src/ops/attention/attention.as";
import { attentionDkv } from "../src/ops/attention/attention-dkv.as";
import { columnSum } from "../src/ops/column-sum/column-sum.as";
import { fill } from "../src/ops/fill/fill.as";
import { gather } from "../src/ops/gather/gather.as";
import { gelu, geluBack } from "../src/ops/gelu/gelu.as";
import { gemmChunks, gemmRun } from "../src/ops/gemm/gemm.as";
import { layerNorm, layerNormDw, layerNormDx } from "../src/ops/layer-norm/layer-norm.as";
import { logprobBackTile, logprobFinish, logprobTile } from "../src/ops/logprob/logprob.as";
import { rmsNorm, rmsNormDw, rmsNormDx } from "../src/ops/rms-norm/rms-norm.as";
import { rope } from "../src/ops/rope/rope.as";
import { sampleTile } from "../src/ops/sample/sample.as";
import { scatterRows } from "../src/ops/scatter-rows/scatter-rows.as";
import { swiglu, swigluBack } from "../src/ops/swiglu/swiglu.as";

export { philox } from "../src/ops/sample/sample.as";

/** Items (rows, columns or elements) of a chunk, by kernel. */
function chunkItems(id: i32): i32 {
  if (id == 4 || id == 7 || id == 27) return 64;
  if ((id >= 9 && id <= 12) || id == 25) return 4;
  if ((id >= 13 && id <= 18) || id == 26 || id == 28 || id == 30) return 4096;
  return 16;
}

function items(job: usize, id: i32): i32 {
  return id == 4 || id == 7 || id == 27 ? word(job, 1) : word(job, 0);
}

function chunks(job: usize): i32 {
  const id = load<i32>(job);
  if (id < 2) return gemmChunks(job);
  if (id == 29) return 1;
  return divideUp(items(job, id), chunkItems(id));
}

function execute(job: usize, chunk: i32, scratch: usize): void {
  const id = load<i32>(job);
  const size = chunkItems(id), first = chunk * size, last = min(items(job, id), first + size);
  switch (id) {
    case 0: gemmRun(job, chunk, scratch, false); break;
    case 1: gemmRun(job, chunk, scratch, true); break;
    case 2: rmsNorm(job, first, last); break;
    case 3: rmsNormDx(job, first, last); break;
    case 4: rmsNormDw(job, first, last); break;
    case 5: layerNorm(job, first, last); break;
    case 6: layerNormDx(job, first, last); break;
    case 7: layerNormDw(job, first, last); break;
    case 8: rope(job, first, last); break;
    case 9: attention(job, first, last, scratch); break;
    case 10: attentionDelta(job, first, last); break;
    case 11: attentionDq(job, first, last, scratch); break;
    case 12: attentionDkv(job, first, last, scratch); break;
    case 13: swiglu(job, first, last); break;
    case 14: swigluBack(job, first, last); break;
    case 15: gelu(job, first, last); break;
    case 16: geluBack(job, first, last); break;
    case 17: add(job, first, last); break;
    case 18: accumulate(job, first, last); break;
    case 19: gather(job, first, last, false); break;
    case 20: gather(job, first, last, true); break;
    case 21: scatterRows(job, first, last); break;
    case 22: logprobTile(job, first, last); break;
    case 23: logprobFinish(job, first, last); break;
    case 24: logprobBackTile(job, first, last); break;
    case 25: sampleTile(job, first, last); break;
    case 26: fill(job, first, last); break;
    case 27: columnSum(job, first, last); break;
    case 28: squareSum(job, first, last); break;
    case 29: normFinish(job); break;
    case 30: adamw(job, first, last); break;
    default: unreachable();
  }
}

/** One thread's part of a run: chunks by counter, all threads meet after each job. Main calls it too. Returns the arrivals after it. */
export function work(control: usize, scratch: usize, arrivalsBefore: i32): i32 {
  const threads = load<i32>(control, 12), count = load<i32>(control, 8);
  setThreads(threads);
  let job = <usize>load<u32>(control, 4);
  let target = arrivalsBefore;
  for (let index = 0; index < count; index++, job += 128) {
    store<i32>(control, index, 28);
    const total = chunks(job);
    while (true) {
      const chunk = threads == 1 ? load<i32>(job, 40) : atomic.add<i32>(job, 1, 40);
      if (threads == 1) store<i32>(job, chunk + 1, 40);
      if (chunk >= total) break;
      execute(job, chunk, scratch);
    }
    if (threads == 1) continue;
    target += threads;
    if (atomic.add<i32>(control, 1, 16) + 1 == target) atomic.notify(control + 16, -1);
    else awaitArrivals(control, target);
  }
  return target;
}

/** Traps where a thread has failed, or where none arrives for so long that one must be dead. */
function awaitArrivals(control: usize, target: i32): void {
  for (let spin = 0; spin < 4000; spin++) if (atomic.load<i32>(control, 16) - target >= 0) return;
  const patience = load<i32>(control, 32);
  let before = 0, quietSeconds = 0;
  while (true) {
    const arrivals = atomic.load<i32>(control, 16);
    if (arrivals - target >= 0) return;
    quietSeconds = arrivals == before ? quietSeconds : 0;
    if (atomic.load<i32>(control, 24) != 0 || (patience != 0 && quietSeconds > patience)) unreachable();
    before = arrivals;
    if (atomic.wait<i32>(control + 16, arrivals, 1000000000) == AtomicWaitResult.TIMED_OUT) quietSeconds++;
  }
}

/** The loop of a worker thread: returns when the stop word is set. */
export function serve(control: usize, scratch: usize): void {
  let generation = 0, arrivals = 0;
  while (true) {
    let spin = 0;
    while (atomic.load<i32>(control) == generation) if (++spin > 4000) atomic.wait<i32>(control, generation, -1);
    generation = atomic.load<i32>(control);
    if (atomic.load<i32>(control, 20) != 0) return;
    arrivals = work(control, scratch, arrivals);
  }
}

