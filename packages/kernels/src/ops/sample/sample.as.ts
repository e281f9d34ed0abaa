// Gumbel-max by vocabulary tiles; Philox4x32-10 (Salmon et al. 2011). Chunk: 4 rows.
import { at, pointer, word, wordFloat } from "../../../assembly/math";

/** Lane `lane` of the block at (c0, c1, c2, c3) under key (k0, k1). */
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32, lane: i32): u32 {
  for (let round = 0; round < 10; round++) {
    const p0 = <u64>0xD2511F53 * <u64>c0, p1 = <u64>0xCD9E8D57 * <u64>c2;
    const n0 = <u32>(p1 >> 32) ^ c1 ^ k0, n2 = <u32>(p0 >> 32) ^ c3 ^ k1;
    c1 = <u32>p1;
    c3 = <u32>p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return lane == 0 ? c0 : lane == 1 ? c1 : lane == 2 ? c2 : c3;
}

export function sampleTile(job: usize, firstRow: i32, lastRow: i32): void {
  const width = word(job, 1), start = word(job, 2), inverse = wordFloat(job, 5), noise = wordFloat(job, 6);
  const columns = min(width, word(job, 4) - start);
  for (let row = firstRow; row < lastRow; row++) {
    const z = at(pointer(job, 0), row * width), keys = at(pointer(job, 1), row * 8);
    let best: f32 = word(job, 3) ? -Infinity : load<f32>(at(pointer(job, 2), row)), id = word(job, 3) ? 0 : load<i32>(at(pointer(job, 3), row));
    for (let i = 0; i < columns; i++) {
      let score = load<f32>(at(z, i)) * inverse;
      if (noise != 0) {
        const token = start + i;
        const x = philox(load<u32>(keys, 8), load<u32>(keys, 12), load<u32>(keys, 16), token >> 2, load<u32>(keys), load<u32>(keys, 4), token & 3);
        const u = (<f32>(x >> 8) + <f32>0.5) * <f32>5.9604644775390625e-8;
        score += noise * -Mathf.log(-Mathf.log(u));
      }
      if (score > best) { best = score; id = start + i; }
    }
    store<f32>(at(pointer(job, 2), row), best);
    store<i32>(at(pointer(job, 3), row), id);
  }
}
