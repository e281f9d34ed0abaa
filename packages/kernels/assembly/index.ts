// CPU core: the loop of the threads over a job list. What a job does: kernels.ts.
// Control record (i32): [0] generation, [1] job pointer, [2] job count, [3] threads, [4] arrivals (never reset), [5] stop,
// [6] a thread has failed, [7] index of the job begun last, [8] seconds to wait for a thread before it counts as dead (0: for ever),
// [9] pairs of 128-bit operations become one of 256.
import { setRun } from "./math";
import { chunks, execute } from "./kernels";

export { kernelList } from "./kernels";
export { packWeight } from "../src/ops/gemm/gemm.as";
export { philox } from "../src/ops/sample/sample.as";

/** One thread's part of a run: chunks by counter, all threads meet after each job that does not say otherwise. Main calls it too. Returns the arrivals after it. */
export function work(control: usize, scratch: usize, arrivalsBefore: i32): i32 {
  const threads = load<i32>(control, 12), count = load<i32>(control, 8);
  setRun(threads, load<i32>(control, 36) != 0);
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
    // nothing that follows before the next meeting touches what this job writes
    if (threads == 1 || load<i32>(job, 124) != 0) continue;
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

