// Log-probability and entropy by vocabulary tiles. Chunk: 16 rows.
import { at, exp1, pointer, word, wordFloat } from "../../../assembly/math";

export function logprobTile(job: usize, firstRow: i32, lastRow: i32): void {
  const width = word(job, 1), start = word(job, 2), first = word(job, 3), inverse = wordFloat(job, 5);
  const columns = min(width, word(job, 4) - start);
  for (let row = firstRow; row < lastRow; row++) {
    const z = at(pointer(job, 0), row * width), state = at(pointer(job, 2), row * 4), target = load<i32>(at(pointer(job, 1), row)) - start;
    let m: f32 = first ? -Infinity : load<f32>(state), s: f32 = first ? 0 : load<f32>(state, 4), t: f32 = first ? 0 : load<f32>(state, 8);
    let chosen: f32 = first ? 0 : load<f32>(state, 12);
    let peak = m;
    for (let i = 0; i < columns; i++) peak = max<f32>(peak, load<f32>(at(z, i)) * inverse);
    if (columns > 0) {
      const shrink: f32 = m == peak ? 1 : exp1(m - peak);
      s *= shrink;
      t *= shrink;
      for (let i = 0; i < columns; i++) { const x = load<f32>(at(z, i)) * inverse, e = exp1(x - peak); s += e; t += e * x; }
      if (target >= 0 && target < columns) chosen = load<f32>(at(z, target)) * inverse;
    }
    store<f32>(state, peak);
    store<f32>(state, s, 4);
    store<f32>(state, t, 8);
    store<f32>(state, chosen, 12);
  }
}

export function logprobFinish(job: usize, first: i32, last: i32): void {
  for (let row = first; row < last; row++) {
    const state = at(pointer(job, 0), row * 4), out = at(pointer(job, 1), row * 4);
    const lse = load<f32>(state) + Mathf.log(load<f32>(state, 4));
    store<f32>(out, load<f32>(state, 12) - lse);
    store<f32>(out, lse - load<f32>(state, 8) / load<f32>(state, 4), 4);
    store<f32>(out, lse, 8);
    store<f32>(out, 0, 12);
  }
}

export function logprobBackTile(job: usize, first: i32, last: i32): void {
  const width = word(job, 1), start = word(job, 2), vocab = word(job, 3), inverse = wordFloat(job, 4);
  for (let row = first; row < last; row++) {
    const z = at(pointer(job, 0), row * width), target = load<i32>(at(pointer(job, 1), row)) - start, out = at(pointer(job, 2), row * 4);
    const entropy = load<f32>(out, 4), lse = load<f32>(out, 8), dLogprob = load<f32>(at(pointer(job, 3), row * 2)), dEntropy = load<f32>(at(pointer(job, 3), row * 2 + 1));
    for (let i = 0; i < width; i++) {
      let d: f32 = 0;
      if (start + i < vocab) {
        const logp = load<f32>(at(z, i)) * inverse - lse, p = exp1(logp);
        d = inverse * (dLogprob * ((i == target ? <f32>1 : <f32>0) - p) - dEntropy * p * (logp + entropy));
      }
      store<f32>(at(z, i), d);
    }
  }
}
