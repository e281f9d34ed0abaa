// Sums of table rows by a CSR index. Chunk: 16 rows.
import { at, axpy, pointer, word } from "../../../assembly/math";

export function gather(job: usize, first: i32, last: i32): void { sums(job, first, last, false); }
export function gatherWeighted(job: usize, first: i32, last: i32): void { sums(job, first, last, true); }

function sums(job: usize, first: i32, last: i32, weighted: bool): void {
  const width = word(job, 1), csr = pointer(job, 1), columns = at(csr, word(job, 2)), acc = word(job, 3);
  for (let row = first; row < last; row++) {
    const y = at(pointer(job, weighted ? 3 : 2), row * width);
    if (acc == 0) memory.fill(y, 0, <usize>width << 2);
    const end = load<i32>(at(csr, row + 1));
    for (let i = load<i32>(at(csr, row)); i < end; i++) axpy(y, weighted ? load<f32>(at(pointer(job, 2), i)) : 1, at(pointer(job, 0), load<i32>(at(columns, i)) * width), width);
  }
}
